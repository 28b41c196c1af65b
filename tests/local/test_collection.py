"""The garbage collection as docs/operations.md describes it, with the registry's own program."""

import hashlib
import os
import re
import subprocess
import sys

import pytest
import requests

from console.installation.environment import BASE_DIR
from registry_client import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, BlobUnknown, RegistryClient
from tests.support.http_servers import running_registry
from tests.support.pushed_images import digest_of, push_blob, push_image

DOCUMENT = (BASE_DIR / "docs" / "operations.md").read_text()


def documented(beginning, data_dir):
    """The command of the document that begins so, for this data folder."""
    command = re.search(rf"^{beginning} .*$", DOCUMENT, re.MULTILINE)[0]
    python = command.replace(".venv/bin/python", sys.executable)
    return re.sub(r"(?<!\w)DATA_DIR(?!=)", str(data_dir), python)


def run(command):
    return subprocess.run(["sh", "-c", command], cwd=BASE_DIR, capture_output=True, text=True, check=False)


@pytest.fixture
def data_dir(tmp_path, registry_program, monkeypatch):
    """A data folder whose registry is called as the product's is, and nobody else's on the PATH."""
    monkeypatch.setenv("PATH", f"{registry_program.parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "data").symlink_to(tmp_path / "registry" / "storage")
    return tmp_path


@pytest.fixture
def running(data_dir, registry_program):
    return lambda: running_registry(registry_program, data_dir / "registry")


def push_by_sha512(url, client, repository, tag):
    """An image whose layer is named by its sha512 digest; that digest."""
    layer, config = b"a layer" * 100, b'{"os":"linux","architecture":"amd64"}'
    digest = f"sha512:{hashlib.sha512(layer).hexdigest()}"
    place = requests.post(f"{url}/v2/{repository}/blobs/uploads/", timeout=10).headers["Location"]
    requests.put(f"{place}&digest={digest}", data=layer, timeout=10).raise_for_status()
    descriptors = [
        {"mediaType": OCI_CONFIG, "digest": push_blob(client, repository, config), "size": len(config)},
        {"mediaType": OCI_LAYER, "digest": digest, "size": len(layer)},
    ]
    content = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptors[0], "layers": descriptors[1:]}
    address = f"{url}/v2/{repository}/manifests/{tag}"
    requests.put(address, json=content, headers={"Content-Type": OCI_MANIFEST}, timeout=10).raise_for_status()
    return digest


def collect(data_dir):
    (data_dir / "registry" / "config.yml").chmod(0o600)
    made = run(documented("env -i", data_dir))
    assert made.returncode == 0, made.stderr
    return made.stdout


def test_what_is_needed_stays_and_the_rest_goes(data_dir, running):
    with running() as url, RegistryClient(url) as client:
        kept = push_image(client, "team/app", "1")
        gone = push_blob(client, "team/app", b"nobody needs it")
    assert run(documented("find", data_dir)).stdout == ""
    assert f"blob eligible for deletion: {gone}" in collect(data_dir)
    with running() as url, RegistryClient(url) as client:
        assert all(b"".join(client.blob("team/app", digest)) for digest in kept.blobs)
        with pytest.raises(BlobUnknown):
            client.stat_blob("team/app", gone)


def test_a_layer_named_by_sha512_is_found_by_the_first_command(data_dir, running):
    """Why it has to be: when the layer survives, a later version has mended it, and the warning can go."""
    with running() as url, RegistryClient(url) as client:
        digest = push_by_sha512(url, client, "team/app", "1")
        assert requests.get(f"{url}/v2/team/app/blobs/{digest}", timeout=10).status_code == 200
    found = run(documented("find", data_dir)).stdout
    assert f"repositories/team/app/_layers/sha512/{digest.partition(':')[2]}/link" in found
    assert digest_of(b"a layer" * 100) in collect(data_dir).partition("eligible")[2]
    with running() as url:
        assert requests.get(f"{url}/v2/team/app/blobs/{digest}", timeout=10).status_code == 404
        accept = {"Accept": OCI_MANIFEST}
        assert requests.get(f"{url}/v2/team/app/manifests/1", headers=accept, timeout=10).status_code == 200


def test_without_a_program(tmp_path):
    environment = {"PATH": str(tmp_path), "DATA_DIR": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "console.local.registry_program"]
    ended = subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "start My Images once" in ended.stderr
