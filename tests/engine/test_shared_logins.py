"""Clients that use each other's logins: what ``docker login`` and ``podman login`` write, read by all others."""

import gzip
import hashlib
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from registry_client import Challenged, RegistryClient
from tests.support.docker_engine import Command, layer
from tests.support.pushed_images import push_image
from tests.support.registry import CACHE
from tests.support.registry_users import make_user

pytestmark = pytest.mark.engine

# A credential store in a file (Docker's credential helper protocol): docker runs docker-credential-NAME.
HELPER = """#!/usr/bin/env python3
import json, pathlib, sys
file = pathlib.Path({file!r})
kept = json.loads(file.read_text()) if file.exists() else {{}}
verb, given = sys.argv[1], sys.stdin.read()
if verb == "store":
    kept[json.loads(given)["ServerURL"]] = json.loads(given)
elif verb == "erase":
    kept.pop(given.strip(), None)
elif verb == "list":
    print(json.dumps({{server: entry["Username"] for server, entry in kept.items()}}))
elif given.strip() in kept:
    print(json.dumps(kept[given.strip()]))
else:
    print("credentials not found in native keychain")
    sys.exit(1)
file.write_text(json.dumps(kept))
"""


@pytest.fixture(scope="module")
def user(stack):
    return make_user(stack)


@pytest.fixture(scope="module")
def seed(stack, user):
    """An image that every client can unpack."""
    archive = layer({"hello": os.urandom(2000)})
    config = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(archive).hexdigest()}"]},
    }
    with RegistryClient(f"http://{stack.registry_address}", Challenged(user.username, user.password)) as client:
        return push_image(client, f"{user.namespace}/seed", "v1", layers=[gzip.compress(archive)], config=config)


class Home:
    """A home folder with logins in it, and the clients that read them there."""

    def __init__(self, folder: Path, stack, engine) -> None:
        self.folder, self.address, self.engine = folder, stack.registry_address, engine
        self.config = folder / ".docker" / "config.json"
        self.config.parent.mkdir()
        (folder / "bin").mkdir()
        (folder / "run").mkdir(mode=0o700)
        self.variables = {
            **{name: value for name, value in os.environ.items() if name != "REGISTRY_AUTH_FILE"},
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "DOCKER_CONFIG": str(self.config.parent),
            "DOCKER_HOST": engine.socket,
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }

    def command(self, name, *options):
        """A client, or a skip where this machine does not have it."""
        unpacked = CACHE / "clients" / "usr" / "bin" / name
        program = shutil.which(name) or (str(unpacked) if unpacked.exists() else "")
        if not program:
            pytest.skip(f"{name} is not there (.ci/tools, .ci/clients)")
        return Command([program, *options], self.variables)

    def storage(self):
        """Options that keep what podman and buildah store in this folder."""
        return "--root", str(self.folder / "storage"), "--runroot", str(self.folder / "runroot"), "--storage-driver=vfs"

    def use_store(self):
        """Let docker keep credentials for this registry in a store, which the others ask as well."""
        helper = self.folder / "bin" / "docker-credential-testing"
        helper.write_text(HELPER.format(file=str(self.folder / "kept.json")))
        helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
        self.config.write_text(json.dumps({"credHelpers": {self.address: "testing"}}))

    def docker_login(self, user, secret):
        out = self.command("docker")(
            "login", f"--username={user.username}", "--password-stdin", self.address, input=secret
        )
        assert "Login Succeeded" in out

    def podman_login(self, user, secret):
        self.command("podman", *self.storage())(
            "login", "--tls-verify=false", f"--authfile={self.config}", f"--username={user.username}",
            "--password-stdin", self.address, input=secret,
        )  # fmt: skip

    # Each pulls one image and pushes it as another.

    def docker(self, source, target, fails=False):
        docker = self.command("docker")
        docker("pull", source, fails=fails)
        if not fails:
            docker("tag", source, target)
            docker("push", target)
            docker("rmi", source, target)

    def skopeo(self, source, target, fails=False):
        self.command("skopeo", "--insecure-policy")(
            "copy", "--src-tls-verify=false", "--dest-tls-verify=false", f"docker://{source}", f"docker://{target}",
            fails=fails,
        )  # fmt: skip

    def podman(self, source, target, fails=False):
        podman = self.command("podman", *self.storage())
        podman("pull", "--tls-verify=false", source, fails=fails)
        if not fails:
            podman("push", "--tls-verify=false", source, target)

    def buildah(self, source, target, fails=False):
        buildah = self.command("buildah", *self.storage())
        buildah("pull", "--tls-verify=false", "--policy=always", source, fails=fails)
        if not fails:
            buildah("push", "--tls-verify=false", source, f"docker://{target}")

    def oras(self, source, target, fails=False):
        self.command("oras")("cp", "--from-plain-http", "--to-plain-http", source, target, fails=fails)

    def crane(self, source, target, fails=False):
        self.command("crane")("copy", "--insecure", source, target, fails=fails)


@pytest.fixture
def home(stack, docker_daemon):
    # podman refuses folders with long names.
    with tempfile.TemporaryDirectory(prefix="login-") as folder:
        yield Home(Path(folder), stack, docker_daemon)


def moved(stack, user, home, name, client, fails=False):
    """Let a client pull the seed and push it as another image; whether the registry has that one then."""
    source, repository = f"{stack.registry_address}/{user.namespace}/seed:v1", f"{user.namespace}/{name}"
    getattr(home, client)(source, f"{stack.registry_address}/{repository}:v1", fails=fails)
    with RegistryClient(f"http://{stack.registry_address}", Challenged(user.username, user.password)) as registry:
        return registry.tags(repository) == ["v1"] if not fails else False


OTHERS = ["skopeo", "podman", "buildah", "oras", "crane"]


@pytest.mark.parametrize("client", [*OTHERS, "docker"])
@pytest.mark.parametrize("shown", ["password", "push"])
class TestAfterDockerLogin:
    def test_from_the_file(self, stack, user, seed, home, client, shown):
        home.docker_login(user, user.tokens.get(shown, user.password))
        # The password is not kept, but a refresh token; of an access token there is none.
        kept = json.loads(home.config.read_text())["auths"][stack.registry_address]
        assert ("identitytoken" in kept) == (shown == "password")
        assert moved(stack, user, home, f"docker-{client}-{shown}", client)

    def test_from_a_credential_store(self, stack, user, seed, home, client, shown):
        home.use_store()
        home.docker_login(user, user.tokens.get(shown, user.password))
        kept = json.loads((home.folder / "kept.json").read_text())[stack.registry_address]
        assert (kept["Username"] == "<token>") == (shown == "password")
        assert moved(stack, user, home, f"store-{client}-{shown}", client)


@pytest.mark.parametrize("client", ["docker", "podman", "skopeo", "buildah", "oras", "crane"])
@pytest.mark.parametrize("shown", ["password", "push"])
def test_after_podman_login(stack, user, seed, home, client, shown):
    home.podman_login(user, user.tokens.get(shown, user.password))
    assert moved(stack, user, home, f"podman-{client}-{shown}", client)


def test_a_second_login_and_a_logout(stack, user, seed, home):
    """The second login takes the place of the first; after the logout nobody gets in."""
    home.docker_login(user, user.password)
    first = home.config.read_text()
    home.docker_login(user, user.password)
    assert home.config.read_text() != first
    for client in ("docker", "skopeo", "podman", "buildah"):
        assert moved(stack, user, home, f"twice-{client}", client)
    home.command("docker")("logout", stack.registry_address)
    for client in ("docker", "skopeo", "podman", "buildah"):
        moved(stack, user, home, f"out-{client}", client, fails=True)


@pytest.mark.parametrize("shown", ["password", "pull"])
def test_containerd_fetches(stack, user, seed, home, shown):
    """It keeps no logins: the user name and the secret are given each time, and sent as an OAuth2 form."""
    ctr = home.command("ctr", f"--address={home.engine.folder}/exec/containerd/containerd.sock")
    image = f"{stack.registry_address}/{user.namespace}/seed:v1"
    secret = user.tokens.get(shown, user.password)
    out = ctr("content", "fetch", "--plain-http", f"--user={user.username}:{secret}", image)
    assert seed.digest in out
    ctr("content", "fetch", "--plain-http", f"--user={user.username}:wrong", image, fails=True)


@pytest.mark.parametrize("shown", ["push", "delete"])
def test_skopeo_deletes_with_the_right_to(stack, user, seed, home, shown):
    home.docker_login(user, user.tokens[shown])
    assert moved(stack, user, home, f"deleted-with-{shown}", "skopeo")
    repository = f"{user.namespace}/deleted-with-{shown}"
    home.command("skopeo", "--insecure-policy")(
        "delete", "--tls-verify=false", f"docker://{stack.registry_address}/{repository}:v1", fails=shown == "push"
    )
    with RegistryClient(f"http://{stack.registry_address}", Challenged(user.username, user.password)) as client:
        assert client.tags(repository) == (["v1"] if shown == "push" else [])
