"""Docker Hub's official images through the cache, with a real Docker Engine: by address, and as a mirror."""

import gzip
import hashlib
import os
from dataclasses import replace

import pytest

from console.official_images.templatetags.dockerhub import Use
from registry_client import Challenged, RegistryClient, RegistryError
from tests.engine.test_procedure import ACTIVATE, REGISTRY_PASSWORD
from tests.support.docker_engine import Command, Docker, layer
from tests.support.hub_cache import Upstream, answers, wait_until_held
from tests.support.pushed_images import push_image, push_index
from tests.support.stack import Stack, wait_until

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def upstream(registry_program, tmp_path_factory):
    started = Upstream(registry_program, tmp_path_factory.mktemp("upstream"))
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def hub_stack(registry_program, upstream):
    """The whole product before that upstream, with somebody activated."""
    started = Stack(registry_program, DOCKERHUB_UPSTREAM=upstream.url, DOCKERHUB_CHECK_SECONDS="0.2")
    try:
        started.start()
        started.manage("shell", "-c", ACTIVATE.format(password=REGISTRY_PASSWORD))
        started.wait_for_line("Official images are pulled from")
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def mirrored(hub_stack):
    """A Docker Engine whose mirror the cache is."""
    engine = Docker(f"--registry-mirror=http://{hub_stack.dockerhub_address}")
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()


@pytest.fixture
def docker(mirrored, tmp_path):
    return mirrored.client(tmp_path / "docker")


@pytest.fixture
def there(hub_stack, upstream):
    """The upstream, which is there again after the test, and asked by the cache."""
    yield upstream
    if upstream.process is None:
        upstream.start()
        official(upstream, "library/back")
        wait_until(lambda: has(hub_stack, "library/back"), "the cache asks its upstream again")


def official(upstream, repository):
    """An image of two platforms under the tag ``stable``, that an Engine can unpack; with what an Engine here pulls."""
    children = []
    with upstream.client() as client:
        for architecture in ("amd64", "arm64"):
            archive = layer({"hello": os.urandom(5000)})
            config = {
                "os": "linux",
                "architecture": architecture,
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(archive).hexdigest()}"]},
            }
            children.append(push_image(client, repository, None, layers=[gzip.compress(archive)], config=config))
        index = push_index(client, repository, "stable", children)
        return replace(index, blobs=children[0].blobs)


def has(stack, repository):
    """Whether the cache gives its tag ``stable``; not so while one of its two registries takes the other's place."""
    with RegistryClient(f"http://{stack.dockerhub_address}", Challenged("owner", REGISTRY_PASSWORD)) as client:
        try:
            return client.resolve(repository, "stable")
        except RegistryError:
            return None


def login(docker, stack):
    docker("login", "--username=owner", "--password-stdin", stack.dockerhub_address, input=REGISTRY_PASSWORD)


def away(stack, upstream, image):
    """Stop the upstream when the cache has the image, and wait until it serves without it."""
    wait_until_held(stack.data_dir, image.repository, image.blobs)
    before = stack.log().count("only cached official images are served")
    upstream.stop()
    wait_until(lambda: stack.log().count("only cached official images are served") > before, "the upstream is missed")
    wait_until(lambda: answers(f"http://{stack.dockerhub_address}") == 401, "the plain one serves")


def test_the_second_pull_needs_no_upstream(hub_stack, there, docker):
    image = official(there, "library/first")
    address = f"{hub_stack.dockerhub_address}/library/first:stable"
    login(docker, hub_stack)
    assert image.digest in docker("pull", address)
    docker("rmi", address)
    away(hub_stack, there, image)
    assert image.digest in docker("pull", address)
    there.start()
    official(there, "library/second")
    wait_until(
        lambda: succeeds(docker, f"pull {hub_stack.dockerhub_address}/library/second:stable"),
        "the cache asks its upstream again",
    )


def succeeds(docker, arguments):
    try:
        return docker(*arguments.split())
    except AssertionError:
        return ""


def test_what_is_not_official_is_refused(hub_stack, upstream, docker):
    official(upstream, "somebody/app")
    login(docker, hub_stack)
    out = docker("pull", f"{hub_stack.dockerhub_address}/somebody/app:stable", fails=True)
    assert "denied" in out or "unauthorized" in out


def test_a_push_is_refused(hub_stack, upstream, docker):
    official(upstream, "library/third")
    address = f"{hub_stack.dockerhub_address}/library/third:stable"
    login(docker, hub_stack)
    docker("pull", address)
    for name in (
        address,
        f"{hub_stack.dockerhub_address}/library/mine:v1",
        f"{hub_stack.dockerhub_address}/team/app:v1",
    ):
        docker("tag", address, name)
        out = docker("push", name, fails=True)
        assert "denied" in out or "unauthorized" in out


def test_nobody_pulls_without_a_login(hub_stack, upstream, docker):
    official(upstream, "library/fourth")
    out = docker("pull", f"{hub_stack.dockerhub_address}/library/fourth:stable", fails=True)
    assert "denied" in out or "unauthorized" in out


def test_as_a_mirror_with_the_commands_of_the_page(hub_stack, there, docker, tmp_path, settings):
    settings.DOCKERHUB_ADDRESS = hub_stack.dockerhub_address
    image = official(there, "library/made-for-this-test")
    use = Use("owner", "made-for-this-test", "stable")
    assert use.mirror_setting == f'{{"registry-mirrors": ["http://{hub_stack.dockerhub_address}"]}}'
    variables = {name: value for name, value in docker.environment.items() if name != "DOCKER_CONFIG"}
    shell = Command(["bash", "-c"], {**variables, "HOME": str(tmp_path)})
    shell(f"{use.mirror_login} --password-stdin", input=REGISTRY_PASSWORD)
    shell(use.mirror_rename)
    assert image.digest in shell(use.mirror_pull)
    shell("docker rmi made-for-this-test:stable")
    away(hub_stack, there, image)
    assert image.digest in shell(use.mirror_pull)


def test_the_console_sees_what_is_cached(hub_stack, upstream, docker):
    digest = official(upstream, "library/fifth").digest
    url = f"http://{hub_stack.dockerhub_address}"
    with RegistryClient(url, Challenged("owner", REGISTRY_PASSWORD)) as client:
        assert client.resolve("library/fifth", "stable").digest == digest
    code = """
from console.registry.connection import hub, hub_inner
print(hub_inner().tags("library/fifth"), hub_inner().resolve("library/fifth", "stable").digest)
print(hub().resolve("library/fifth", "stable").digest)
"""
    assert hub_stack.manage("shell", "-c", code).splitlines()[-2:] == [f"['stable'] {digest}", digest]
