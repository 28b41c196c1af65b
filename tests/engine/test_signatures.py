"""Clients that attach signatures and files to an image: as referrers, with no tag of their own."""

import base64
import json
import os
import shutil

import pytest
import requests

from registry_client import Challenged, RegistryClient
from tests.support.docker_engine import Command
from tests.support.pushed_images import push_image
from tests.support.registry import CACHE
from tests.support.registry_users import make_user

pytestmark = pytest.mark.engine

POLICY = {
    "version": "1.0",
    "trustPolicies": [
        {
            "name": "testing",
            "registryScopes": ["*"],
            "signatureVerification": {"level": "strict"},
            "trustStores": ["ca:example.com"],
            "trustedIdentities": ["*"],
        }
    ],
}
# cosign would ask a public log otherwise, and use TLS.
NO_LOG = ("--allow-http-registry", "--allow-insecure-registry")


@pytest.fixture(scope="module")
def user(stack):
    return make_user(stack)


@pytest.fixture
def client(stack, user):
    with RegistryClient(f"http://{stack.registry_address}", Challenged(user.username, user.password)) as client:
        yield client


@pytest.fixture
def image(request, stack, user, client):
    """The repository, digest and address of a new image."""
    repository = f"{user.namespace}/{request.node.name.removeprefix('test_').replace('_', '-')}"
    digest = push_image(client, repository, "v1").digest
    return repository, digest, f"{stack.registry_address}/{repository}@{digest}"


@pytest.fixture
def tool(tmp_path, stack, user, monkeypatch):
    """Runs a program in a folder of its own, logged in; or a skip where this machine does not have it."""
    pair = base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {stack.registry_address: {"auth": pair}}}))
    variables = {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / ".config"),
        "DOCKER_CONFIG": str(tmp_path),
        "COSIGN_PASSWORD": "a password",
        "NOTATION_USERNAME": user.username,
        "NOTATION_PASSWORD": user.password,
    }
    monkeypatch.chdir(tmp_path)

    def find(name):
        unpacked = CACHE / "clients" / "usr" / "bin" / name
        program = shutil.which(name) or (str(unpacked) if unpacked.exists() else "")
        if not program:
            pytest.skip(f"{name} is not there (.ci/clients)")
        return Command([program], variables)

    return find


@pytest.fixture
def attached(stack, user, client, image):
    """Counts the referrers of the image; its repository must have no tag but the image's."""

    def count():
        repository, digest, _address = image
        assert client.tags(repository) == ["v1"]
        scope = {"service": "my-images-registry", "scope": f"repository:{repository}:pull"}
        pair = (user.username, user.password.encode())
        token = requests.get(f"{stack.console_url}/token/", scope, auth=pair, timeout=20).json()["token"]
        found = requests.get(
            f"http://{stack.registry_address}/v2/{repository}/referrers/{digest}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=20,
        )
        return len(found.json()["manifests"])

    return count


def test_oras(tool, image, attached, tmp_path):
    oras, (_repository, _digest, address) = tool("oras"), image
    (tmp_path / "sbom.json").write_text("{}")
    oras("attach", "--plain-http", "--artifact-type=application/vnd.example.sbom", address, "sbom.json")
    assert "application/vnd.example.sbom" in oras("discover", "--plain-http", address)
    assert attached() == 1


def test_cosign(tool, image, attached):
    cosign, (_repository, _digest, address) = tool("cosign"), image
    cosign("generate-key-pair")
    cosign("signing-config", "create", "--out", "no-services.json")
    cosign("sign", "--yes", "--key=cosign.key", "--signing-config=no-services.json", *NO_LOG, address)
    verify = ("verify", "--key=cosign.pub", "--insecure-ignore-tlog=true", *NO_LOG, address)
    assert "The signatures were verified against the specified public key" in cosign(*verify)
    assert attached() == 1
    cosign("generate-key-pair", "--output-key-prefix=other")
    cosign("verify", "--key=other.pub", "--insecure-ignore-tlog=true", *NO_LOG, address, fails=True)


def test_notation(tool, image, attached, tmp_path):
    notation, (_repository, _digest, address) = tool("notation"), image
    notation("cert", "generate-test", "--default", "example.com")
    (tmp_path / "policy.json").write_text(json.dumps(POLICY))
    notation("policy", "import", "--force", "policy.json")
    for kind in ("jws", "cose"):
        notation("sign", "--insecure-registry", "--force-referrers-tag=false", f"--signature-format={kind}", address)
    assert "Successfully verified signature" in notation("verify", "--insecure-registry", address)
    assert attached() == 2
