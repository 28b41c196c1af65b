"""What the tests of the Docker Hub pages share."""

import pytest

from tests.support.hub_api import Hub


@pytest.fixture
def hub(settings):
    """A Docker Hub of the test's own, which the catalogue comes from."""
    server = Hub()
    settings.DOCKERHUB_API = server.url
    yield server
    server.stop()
