"""What all tests have: the fixtures and marks of ``tests.support``, and what is switched off in this process."""

from __future__ import annotations

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from procrastinate.periodic import PeriodicDeferrer

from console.audit import summaries
from tests.faults import tally as faults
from tests.fuzz import tally as fuzz
from tests.support.factories import ActivatedAccountFactory, NamespaceFactory

# What imports another of them comes after it.
pytest_plugins = [
    "tests.support.marks",
    "tests.support.static_files",
    "tests.support.postgres",
    "tests.support.registry",
    "tests.support.stack",
    "tests.support.installations",
    "tests.support.docker_engine",
    "tests.support.browser",
]


def pytest_terminal_summary(terminalreporter):
    """What the fault tests and the fuzzing came to."""
    faults.pytest_terminal_summary(terminalreporter)
    fuzz.summary(terminalreporter)


@pytest.fixture(scope="session", autouse=True)
def _cheap_hashes():
    """The same algorithm with the least memory and time: the tests hash some thousand passwords."""
    Argon2PasswordHasher.time_cost, Argon2PasswordHasher.memory_cost, Argon2PasswordHasher.parallelism = 1, 64, 1


@pytest.fixture(scope="session", autouse=True)
def _no_summaries():
    """What is summarised is written down when a test asks for it."""
    summaries._begin = lambda: None


@pytest.fixture(scope="session", autouse=True)
def _no_clock():
    """No job is queued by the time of day, so that a test comes to the same at any minute; the whole product's are."""

    async def never(self):
        return

    PeriodicDeferrer.worker = never


@pytest.fixture
def ann(client):
    """Somebody activated, signed in with the Django client."""
    account = ActivatedAccountFactory(name="Ann")
    client.force_login(account)
    return account


@pytest.fixture
def team(ann):
    """A namespace of hers."""
    return NamespaceFactory(owner=ann, name="team")
