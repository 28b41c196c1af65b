"""Registries and servers for the client's tests. None of them needs Django or a database."""

import uuid

import pytest

from registry_client import RegistryClient, connections
from tests.support.http_servers import ISSUER, SERVICE, Server, Signer, TokenServer, running_registry


@pytest.fixture(scope="session")
def open_registry(registry_program, tmp_path_factory):
    """A registry that asks for no authorization."""
    folder = tmp_path_factory.mktemp("open-registry")
    with running_registry(registry_program, folder) as url:
        yield url


@pytest.fixture
def client(open_registry):
    with RegistryClient(open_registry) as client:
        yield client


@pytest.fixture
def repository():
    """A repository's name that no other test uses."""
    return f"team/{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def signer():
    return Signer()


@pytest.fixture(scope="session")
def token_server(signer):
    server = TokenServer(signer, "Jürgen", "pass:wörd %41")
    yield server
    server.close()


@pytest.fixture(scope="session")
def token_registry(registry_program, tmp_path_factory, signer, token_server):
    """A registry that wants tokens which ``signer`` signed, and sends its clients to ``token_server``."""
    folder = tmp_path_factory.mktemp("token-registry")
    (folder / "bundle.pem").write_bytes(signer.pem)
    auth = {
        "token": {
            "realm": f"{token_server.url}/token",
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": str(folder / "bundle.pem"),
        }
    }
    with running_registry(registry_program, folder, auth=auth) as url:
        yield url


@pytest.fixture
def server(monkeypatch):
    """A server that answers as the test says; retries against it do not wait."""
    monkeypatch.setattr(connections, "_BACKOFF_SECONDS", 0.0)
    server = Server()
    yield server
    server.close()


@pytest.fixture
def faulty(server):
    """A client of ``server``."""
    with RegistryClient(server.url, read_timeout=5.0) as client:
        yield client
