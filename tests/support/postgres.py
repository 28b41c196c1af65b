"""The tests' PostgreSQL server, started when the first test needs it."""

from __future__ import annotations

import atexit
import signal
import subprocess

import pytest
from django.db import connection

from console.local.postgres import DATABASE, Postgres
from tests.support import prepared_database
from tests.support.environment import ENVIRONMENT, FOLDER, remove_folder

# The migrated database that Django copies for its tests. The product's own is empty, as in an installation.
MIGRATED = "migrated"
_process: subprocess.Popen | None = None


def start_once() -> None:
    """Start the server if it is not running, and wait until it answers.

    :raises RuntimeError: when it does not start.
    """
    global _process
    if _process is not None:
        return
    prepared_database.copy_to(FOLDER / "postgres")
    server = Postgres(FOLDER / "postgres", ENVIRONMENT.socket_dir, prepared_database.FAST)
    server.initialise()
    _process = server.start()
    atexit.register(stop)
    prepared_database.wait_until_ready(server, _process)
    with server.connect() as administrator:
        administrator.execute(f"ALTER DATABASE {DATABASE} RENAME TO {MIGRATED}")
    server.is_ready()  # creates the product's database


def stop() -> None:
    """Stop the server if it is running."""
    global _process
    if _process is not None:
        _process.send_signal(signal.SIGINT)
        _process.wait(20)
        _process = None


def pytest_unconfigure(config):
    """Stop the server and remove the folder."""
    stop()
    remove_folder()


@pytest.fixture(scope="session")
def postgres():
    """The server, for tests that do not use Django's database (which starts it as well)."""
    start_once()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres, django_db_modify_db_settings_xdist_suffix):
    """Django copies the migrated database, and finds nothing left to migrate."""
    connection.settings_dict["TEST"]["TEMPLATE"] = MIGRATED


@pytest.fixture(scope="session")
def django_db_setup(postgres, static_files, django_db_setup, django_db_blocker):
    """Allow TRUNCATE of the audit log, which is append-only outside of tests, after tests with transactions."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER audit_event_not_emptied")


@pytest.fixture(autouse=True)
def _no_jobs_left(request, django_db_blocker):
    """Delete jobs that a test with transactions has queued: Django empties only tables of its own models."""
    yield
    marker = request.node.get_closest_marker("django_db")
    if (marker and marker.kwargs.get("transaction")) or "transactional_db" in request.fixturenames:
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute("TRUNCATE procrastinate_jobs CASCADE")
