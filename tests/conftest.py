"""Fixtures for all tests: the real things, started once."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import requests
from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import connection
from playwright.sync_api import sync_playwright
from procrastinate.periodic import PeriodicDeferrer

from console.audit import summaries
from console.local import registry as bundled
from console.operations.management.commands import prepare
from tests.browser.walker import Walker
from tests.engine_tools import Docker, Skopeo
from tests.environment import ENVIRONMENT, FOLDER
from tests.factories import ActivatedAccountFactory, NamespaceFactory
from tests.faults import tally as faults
from tests.fuzz import tally as fuzz
from tests.stack import Stack

CONSOLE_PASSWORD = "the console password 1"
CACHE = Path(__file__).resolve().parent.parent / ".cache"


def pytest_terminal_summary(terminalreporter):
    """What the fault tests and the fuzzing came to."""
    faults.pytest_terminal_summary(terminalreporter)
    fuzz.summary(terminalreporter)


# Few tests and long ones: started last, one process would have them all when the others have nothing left to do.
LONG = (
    "faults", "engine", "browser/test_walk", "security/test_matrix", "web/test_secrets", "fuzz/test_pages", "upgrade",
    "backup", "local", "transfers/test_whole", "indexing/test_memory",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """The files with the longest tests first; all others stay in their order."""

    def rank(item):
        path = str(item.path.relative_to(CACHE.parent / "tests"))
        return next((place for place, start in enumerate(LONG) if path.startswith(start)), len(LONG))

    items.sort(key=rank)


@pytest.fixture(scope="session", autouse=True)
def _static_files(django_test_environment):
    """Collect the static files once, as a start does: pages name them by their hash, and whole products borrow them."""
    prepare.Command()._static_files()


@pytest.fixture(scope="session", autouse=True)
def _cheap_hashes():
    """The same algorithm with the least memory and time: the tests hash some thousand passwords."""
    Argon2PasswordHasher.time_cost, Argon2PasswordHasher.memory_cost, Argon2PasswordHasher.parallelism = 1, 64, 1


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """After a test that commits all tables are emptied, which the audit trail refuses outside of the tests."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER audit_event_not_emptied")


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


@pytest.fixture(autouse=True)
def _no_jobs_left(request, django_db_blocker):
    """Remove what a test with transactions of its own queued: Django empties the tables of its own models alone."""
    yield
    marker = request.node.get_closest_marker("django_db")
    if (marker and marker.kwargs.get("transaction")) or "transactional_db" in request.fixturenames:
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute("TRUNCATE procrastinate_jobs CASCADE")


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


@pytest.fixture(scope="session")
def registry_program() -> Path:
    """The registry's program: on the PATH, or the package unpacked once into the checkout's cache."""
    return bundled.find_or_install(CACHE)


@pytest.fixture(scope="session")
def registry_server(registry_program):
    """A real registry with the console's token authentication, at ``settings.REGISTRY_URL``."""
    configuration = bundled.configuration(ENVIRONMENT, settings.KEYS)
    del configuration["notifications"]
    path = bundled.write_config(FOLDER / "registry" / "config.yml", configuration)
    with (FOLDER / "registry" / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(registry_program), "serve", str(path)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=bundled.clean_environment(os.environ),
        )
    deadline = time.monotonic() + 30
    while True:
        try:
            if requests.get(f"{settings.REGISTRY_URL}/v2/", timeout=5).status_code == 401:
                break
        except requests.ConnectionError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError((FOLDER / "registry" / "log").read_text())
        time.sleep(0.02)
    yield process
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="session")
def stack(tmp_path_factory, registry_program):
    """The whole product, started as ``make run`` starts it."""
    started = Stack(registry_program)
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def docker_daemon(tmp_path_factory):
    """A private Docker Engine."""
    engine = Docker()
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()


@pytest.fixture
def docker(docker_daemon, tmp_path):
    """The Docker client, logged in nowhere, with the private engine behind it."""
    return docker_daemon.client(tmp_path / "docker")


@pytest.fixture
def skopeo(tmp_path):
    """skopeo, logged in nowhere."""
    return Skopeo(tmp_path / "skopeo")


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium, closed with a module's last test: while it is open, Django takes the thread for a loop's."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture
def person(chromium, stack):
    """Makes people: each with an account of their own, signed in in a browser of their own."""
    contexts = []

    def make(name="Ann", *, account=True, **options):
        context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        context.set_default_timeout(15_000)
        contexts.append(context)
        walker = Walker(context.new_page(), stack.console_url)
        if account:
            walker.account_id = stack.somebody(name, CONSOLE_PASSWORD)
            walker.sign_in(walker.account_id, CONSOLE_PASSWORD)
        return walker

    yield make
    for context in contexts:
        context.close()
