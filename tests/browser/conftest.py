"""What the browser tests share."""

import uuid

import pytest
from playwright.sync_api import expect

from registry_client import Challenged, RegistryClient
from tests.registry_tools import push_image

REGISTRY_PASSWORD = "registry pass 1"
# A machine that is busy with something else shows the right thing later, not a wrong one.
expect.set_options(timeout=20_000)


@pytest.fixture
def registry_of(stack):
    """Opens a client of the registry as somebody who is activated."""
    clients = []

    def open_client(username, password=REGISTRY_PASSWORD):
        clients.append(RegistryClient(f"http://{stack.registry_address}", Challenged(username, password)))
        return clients[-1]

    yield open_client
    for client in clients:
        client.close()


@pytest.fixture
def pusher(registry_of):
    """Pushes small images as somebody who is activated."""

    def push(username, repository, *tags, password=REGISTRY_PASSWORD):
        return [push_image(registry_of(username, password), repository, tag) for tag in tags]

    return push


@pytest.fixture
def unique():
    """Makes names that nobody else has."""
    return lambda word="team": f"{word}-{uuid.uuid4().hex[:8]}"
