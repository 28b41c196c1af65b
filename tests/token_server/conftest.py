import base64

import pytest

from tests.support.token_endpoint import Asker


@pytest.fixture
def ask(client):
    """Asks the token endpoint."""
    return Asker(client)


@pytest.fixture
def basic():
    def header(username, password):
        return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    return header
