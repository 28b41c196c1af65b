import pytest

from console.access.roles import Role
from console.service_accounts import services
from tests.support.factories import NamespaceFactory
from tests.support.token_endpoint import Asker


@pytest.fixture
def ask(client):
    """Sends token requests."""
    return Asker(client)


@pytest.fixture
def payments(ann):
    """A namespace of Ann's."""
    return NamespaceFactory(owner=ann, name="payments")


@pytest.fixture
def robot(ann, payments):
    """The service account ``payments+ci``, a Writer."""
    return services.create(ann, payments, "ci", "The release pipeline", Role.WRITER)
