"""``TLS=internal`` with real clients: the commands of the help page make each of them trust the certificate."""

import html
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest
from playwright.sync_api import Error

from tests.browser import live
from tests.support.docker_engine import Command, layer
from tests.support.ports import free_port
from tests.support.registry_users import make_user
from tests.support.stack import Stack

pytestmark = pytest.mark.engine


def own_address():
    """An IPv4 address of this machine that is not a loopback address: those, Docker trusts without a certificate."""
    found = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    return next((one for one in found if "." in one), "")


@pytest.fixture(scope="module")
def site(registry_program):
    """The product at one address with TLS, and the commands of its help page."""
    host = own_address()
    if not host:
        pytest.skip("this machine has loopback addresses only")
    started = Stack(registry_program, SITE=f"https://{host}:{free_port()}", TLS="internal")
    started.console_url = started.environment["SITE"]
    started.registry_address = started.console_url.removeprefix("https://")
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture(autouse=True)
def _nothing_is_trusted_before(site):
    """Each client reads its own folder, and some read Docker's as well."""
    folders = [Path(f"/etc/{one}/certs.d", site.registry_address) for one in ("docker", "containers", "containerd")]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    yield
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def commands(site):
    """The commands as they are written there, by the heading that they are under."""
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(f"{site.console_url}/help/certificate/", context=unchecked) as response:
        page = response.read().decode()
    found: dict[str, list[str]] = {}
    for part in page.split("<h2")[1:]:
        heading = re.search(r">([^<]+)</h2>", part)[1]
        found[heading] = [html.unescape(one) for one in re.findall(r'data-copy="([^"]*)"', part)]
    return found


@pytest.fixture(scope="module")
def run(commands):
    """Run one of them, in the folder with the downloaded certificate."""
    folder = tempfile.mkdtemp(prefix="my-images-trust-")

    def run(heading, place=0):
        command = commands[heading][place].replace("sudo ", "")
        done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert run("Get the certificate") == "my-images-ca.crt: OK\n"
    run.certificate = Path(folder, "my-images-ca.crt")
    yield run
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def user(site):
    return make_user(site)


def image_of(site, user, name):
    return f"{site.registry_address}/{user.namespace}/{name}:v1"


def docker_login(site, user, docker, **options):
    arguments = ("login", f"--username={user.username}", "--password-stdin", site.registry_address)
    return docker(*arguments, input=user.password, **options)


def test_docker(site, user, docker, run):
    assert "certificate signed by unknown authority" in docker_login(site, user, docker, fails=True)
    run("Docker")
    assert "Login Succeeded" in docker_login(site, user, docker)
    image = image_of(site, user, "docker")
    docker("import", "-", image, input=layer({"hello": os.urandom(3_000_000)}))
    pushed = re.search(r"digest: (sha256:\w+)", docker("push", image))[1]
    docker("rmi", image)
    assert pushed in docker("pull", image)
    # The cache is at the same address, and needs no second login.
    assert "unauthorized" not in docker("pull", f"{site.registry_address}/dockerhub/library/x:v1", fails=True)
    docker("rmi", image)


@pytest.mark.parametrize("program", ["skopeo", "podman"])
def test_without_an_engine(site, user, docker, skopeo, run, tmp_path, program):
    client = Command([shutil.which(program) or program], skopeo.environment)
    login = ("login", f"--username={user.username}", "--password-stdin", site.registry_address)
    assert "certificate signed by unknown authority" in client(*login, input=user.password, fails=True)
    run("Podman, Buildah, skopeo")
    assert "Login Succeeded" in client(*login, input=user.password)
    image = image_of(site, user, program)
    local = f"for-{program}:{uuid.uuid4().hex[:8]}"
    docker("import", "-", local, input=layer({"hello": os.urandom(1000)}))
    docker("save", "-o", str(tmp_path / "image.tar"), local)
    docker("rmi", local)
    skopeo("copy", f"docker-archive:{tmp_path / 'image.tar'}", f"docker://{image}")
    skopeo("copy", f"docker://{image}", f"dir:{tmp_path / 'pulled'}")


def test_containerd(site, user, docker_daemon, docker, run):
    run("Docker")
    docker_login(site, user, docker)
    image = image_of(site, user, "containerd")
    docker("import", "-", image, input=layer({"hello": os.urandom(1000)}))
    pushed = re.search(r"digest: (sha256:\w+)", docker("push", image))[1]
    docker("rmi", image)
    ctr = Command(
        [shutil.which("ctr") or "ctr", f"--address={docker_daemon.folder}/exec/containerd/containerd.sock"],
        {**os.environ},
    )
    fetch = (
        "content",
        "fetch",
        "--hosts-dir=/etc/containerd/certs.d",
        f"--user={user.username}:{user.password}",
        image,
    )
    assert "certificate signed by unknown authority" in ctr(*fetch, fails=True)
    run("containerd and Kubernetes")
    assert pushed in ctr(*fetch)


def test_a_browser(site, run, tmp_path, monkeypatch):
    if not shutil.which("certutil"):
        pytest.skip("certutil is not there (libnss3-tools)")
    monkeypatch.setenv("HOME", str(tmp_path))

    def opens():
        with live.browser() as browser:
            page = browser.new_page()
            try:
                page.goto(f"{site.console_url}/sign-in/")
            except Error as error:
                assert "ERR_CERT_AUTHORITY_INVALID" in str(error)
                return False
            return page.get_by_role("heading", name="Sign in").is_visible()

    assert not opens()
    run("Browsers")
    assert opens()


def test_programs_that_use_the_systems_authorities(site, run):
    """As Python and curl do; the file of the system is left alone."""
    trusted = ssl.create_default_context(cafile=str(run.certificate))
    with urllib.request.urlopen(f"{site.console_url}/healthz", context=trusted) as response:
        assert response.status == 200
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(f"{site.console_url}/healthz", context=ssl.create_default_context())
