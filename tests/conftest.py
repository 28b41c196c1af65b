"""Configuration of all tests: plugins with fixtures and marks, and features that are switched off."""

from __future__ import annotations

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from procrastinate.periodic import PeriodicDeferrer
from xdist.workermanage import NodeManager

from console.audit import summaries
from tests.conformance import report as conformance
from tests.faults import tally as faults
from tests.fuzz import tally as fuzz
from tests.support.factories import ActivatedAccountFactory, NamespaceFactory

# In the order of imports: a plugin comes after those that it imports.
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


# Seconds that a process of pytest-xdist has to end, for the services that it stops and the coverage that it saves. What
# is killed before has covered nothing.
NodeManager.EXIT_TIMEOUT = 120


def pytest_terminal_summary(terminalreporter):
    """Print the results of the conformance tests, the fault tests and the fuzzing."""
    conformance.pytest_terminal_summary(terminalreporter)
    faults.pytest_terminal_summary(terminalreporter)
    fuzz.summary(terminalreporter)


@pytest.fixture(scope="session", autouse=True)
def _cheap_hashes():
    """The same password hasher with the lowest cost: the tests hash some thousand passwords."""
    Argon2PasswordHasher.time_cost, Argon2PasswordHasher.memory_cost, Argon2PasswordHasher.parallelism = 1, 64, 1


@pytest.fixture(scope="session", autouse=True)
def _no_summaries():
    """Aggregated audit events are only written when a test flushes them."""
    summaries._begin = lambda: None


@pytest.fixture(scope="session", autouse=True)
def _no_clock():
    """No periodic jobs are queued, so that tests do not depend on the time; only in tests of the whole product."""

    async def never(self):
        return

    PeriodicDeferrer.worker = never


@pytest.fixture
def ann(client):
    """An activated account, signed in with the Django client."""
    account = ActivatedAccountFactory(name="Ann")
    client.force_login(account)
    return account


@pytest.fixture
def team(ann):
    """A namespace of ``ann``."""
    return NamespaceFactory(owner=ann, name="team")
