"""A registry that images come from, the cache of it, and the installation's own."""

from __future__ import annotations

import contextlib
import os
import subprocess

import pytest
import yaml

from console.registry import connection
from registry_client import RegistryClient, connections
from tests.support.factories import ActivatedAccountFactory, NamespaceFactory
from tests.support.http_servers import Server, running_registry, wait_until
from tests.support.ports import free_port


@pytest.fixture(scope="session")
def upstream_url(registry_program, tmp_path_factory):
    """A registry that asks nobody who he is, in Docker Hub's place or anybody's."""
    with running_registry(registry_program, tmp_path_factory.mktemp("upstream")) as url:
        yield url


@pytest.fixture(scope="session")
def upstream(upstream_url):
    with RegistryClient(upstream_url) as client:
        yield client


@contextlib.contextmanager
def pull_through(program, folder, remote):
    """A pull-through cache of ``remote``; gives its address."""
    port = free_port()
    configuration = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "proxy": {"remoteurl": remote},
    }
    file = folder / "config.yml"
    file.write_text(yaml.safe_dump(configuration))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(program), "serve", str(file)], stdout=log, stderr=log, env=clean)
    url = f"http://127.0.0.1:{port}"

    def answers():
        assert process.poll() is None, (folder / "log").read_text()
        with RegistryClient(url, retries=0) as client, contextlib.suppress(Exception):
            client.ping()
            return True
        return False

    try:
        assert wait_until(answers, 30)
        yield url
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def cache_url(registry_program, tmp_path_factory, upstream_url):
    with pull_through(registry_program, tmp_path_factory.mktemp("cache"), upstream_url) as url:
        yield url


@pytest.fixture
def hub(monkeypatch, cache_url):
    """The console's client of the cache."""
    with RegistryClient(cache_url) as client:
        monkeypatch.setattr(connection, "hub", lambda: client)
        yield client


@pytest.fixture
def server(monkeypatch):
    """A server that answers as the test says; retries against it do not wait."""
    monkeypatch.setattr(connections, "_BACKOFF_SECONDS", 0.0)
    server = Server()
    yield server
    server.close()


@pytest.fixture
def faulty(monkeypatch, server):
    """``server`` in the cache's place."""
    with RegistryClient(server.url, read_timeout=5.0) as client:
        monkeypatch.setattr(connection, "hub", lambda: client)
        yield server


@pytest.fixture
def account():
    return ActivatedAccountFactory()


@pytest.fixture
def namespace(account):
    return NamespaceFactory(owner=account)


@pytest.fixture
def imports_allowed(settings, upstream_url):
    """The administrator allows the upstream, which is on this machine."""
    settings.ALLOWED_IMPORT_HOSTS = [upstream_url.removeprefix("http://")]
