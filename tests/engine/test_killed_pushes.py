"""Pushes of large layers go well although a part of My Images is killed in the middle: clients try again."""

import hashlib
import json
import os
import re
import signal
import threading
import uuid

import pytest

from registry_client import Challenged, RegistryClient
from tests.support.docker_engine import layer
from tests.support.hub_cache import answers
from tests.support.registry_users import make_user
from tests.support.stack import Stack, wait_until

pytestmark = pytest.mark.engine

MIB = 1024 * 1024
# Megabytes of a layer.
LARGE, SMALL = 1024, 64
PARTS = ["edge", "console", "registry"]
OCI = "application/vnd.oci.image"
# What Debian 12's skopeo does not try again.
_FINAL = re.compile("503 Service Unavailable|broken pipe|connection reset|closed network connection|EOF")


@pytest.fixture(scope="module")
def product(registry_program):
    """A product of the module's own: the tests kill its parts."""
    made = Stack(registry_program, DOCKERHUB="off")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def user(product):
    return make_user(product)


def write_image(folder, megabytes):
    """An image with one layer of that size, as skopeo reads it (OCI image layout); returns the layer's digest."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    # It begins like a compressed one, which is passed on as it is.
    block, digest, path = b"\x1f\x8b\x08" + os.urandom(MIB - 3), hashlib.sha256(), blobs / "layer"
    with path.open("wb") as file:
        for _number in range(megabytes):
            file.write(block)
            digest.update(block)
    path.rename(blobs / digest.hexdigest())

    def add(kind, content):
        words = json.dumps(content).encode()
        name = hashlib.sha256(words).hexdigest()
        (blobs / name).write_bytes(words)
        return {"mediaType": f"{OCI}.{kind}.v1+json", "digest": f"sha256:{name}", "size": len(words)}

    whole = f"sha256:{digest.hexdigest()}"
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [whole]}}
    layers = [{"mediaType": f"{OCI}.layer.v1.tar+gzip", "digest": whole, "size": megabytes * MIB}]
    manifest = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": add("config", config)}
    index = {"schemaVersion": 2, "manifests": [add("manifest", {**manifest, "layers": layers})]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    return whole


def kill_in_the_middle(product, repository, part, size):
    """Kill a part as soon as a third of an upload of ``size`` bytes has come; the thread that does so."""
    uploads = product.data_dir / "registry/data/docker/registry/v2/repositories" / repository / "_uploads"

    def sizes():
        for data in uploads.glob("*/data"):
            try:
                yield data.stat().st_size
            except FileNotFoundError:
                continue

    def kill():
        wait_until(lambda: any(there > size / 3 for there in sizes()), "a third of the layer is there", 120)
        os.kill(product.pid_of(part), signal.SIGKILL)
        killed.append(part)

    killed = []
    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread, killed


def check(product, user, repository, tag="v1"):
    """Whether the image is whole, and in the index; returns its manifest."""
    shown = """
        SELECT 1 FROM images_tag AS tag JOIN images_image AS image ON image.id = tag.image_id
        WHERE image.full_name = %s AND tag.name = %s
    """
    assert product.sql(shown, repository, tag) == [(1,)]
    with RegistryClient(f"http://{product.registry_address}", Challenged(user.username, user.password)) as client:
        manifest = json.loads(client.manifest(repository, tag).content)
        for blob in (manifest["config"], *manifest["layers"]):
            content = hashlib.sha256()
            for piece in client.blob(repository, blob["digest"]):
                content.update(piece)
            assert f"sha256:{content.hexdigest()}" == blob["digest"]
    return manifest


@pytest.mark.parametrize("part", PARTS)
def test_skopeo(product, user, skopeo, tmp_path, part):
    """With a retry option it retries. What Debian 12's takes as final it says: a 503, or a connection that broke.

    A gigabyte, whose bytes never pass the console.
    """
    repository = f"{user.namespace}/skopeo-{part}"
    digest = write_image(tmp_path / "image", LARGE)
    skopeo.login(product.registry_address, user.username, user.password)
    thread, killed = kill_in_the_middle(product, repository, part, LARGE * MIB)
    target = f"docker://{product.registry_address}/{repository}:v1"
    words = ["copy", "--retry-times=5", "--dest-tls-verify=false", f"oci:{tmp_path / 'image'}", target]
    try:
        skopeo(*words)
    except AssertionError as error:
        if not re.search(
            "503 Service Unavailable|broken pipe|connection reset|closed network connection|EOF", str(error)
        ):
            raise
        skopeo(*words)
    thread.join()
    assert killed == [part]
    assert [one["digest"] for one in check(product, user, repository)["layers"]] == [digest]


@pytest.mark.parametrize("part", PARTS)
def test_docker(product, user, docker, part):
    """It retries without an option, after some seconds."""
    repository = f"{user.namespace}/docker-{part}"
    address = f"{product.registry_address}/{repository}:v1"
    docker("import", "-", address, input=layer({"random": os.urandom(SMALL * MIB)}))
    login = ["login", f"--username={user.username}", "--password-stdin", product.registry_address]
    docker(*login, input=user.password)
    thread, killed = kill_in_the_middle(product, repository, part, SMALL * MIB)
    docker("push", address)
    thread.join()
    assert killed == [part]
    check(product, user, repository)


@pytest.mark.parametrize("part", PARTS)
def test_a_client_that_does_not_try_again_says_why(product, user, skopeo, tmp_path, part):
    """Without the option; the next attempt goes well."""
    repository = f"{user.namespace}/once-{part}-{uuid.uuid4().hex[:6]}"
    write_image(tmp_path / "image", 2 * SMALL)
    skopeo.login(product.registry_address, user.username, user.password)
    thread, killed = kill_in_the_middle(product, repository, part, 2 * SMALL * MIB)
    words = ["copy", "--dest-tls-verify=false", f"oci:{tmp_path / 'image'}"]
    words.append(f"docker://{product.registry_address}/{repository}:v1")
    # The console has nothing to do with the layers, and is there again before the manifest comes.
    out = skopeo(*words, fails=part != "console")
    thread.join()
    assert killed == [part]
    if part != "console":
        assert "writing blob" in out
        wait_until(lambda: answers(f"http://{product.registry_address}") == 401, f"the {part} is there again")
        skopeo(*words)
    check(product, user, repository)
