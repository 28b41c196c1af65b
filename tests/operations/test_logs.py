"""What the log says when the database goes away, and that it still says everything else."""

import io
import logging

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError

from console.installation.logs import DatabaseAway
from console.operations.management.commands import worker
from tests.support.environment import ENVIRONMENT


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def handler(stream):
    made = logging.StreamHandler(stream)
    made.addFilter(DatabaseAway())
    return made


def lines(stream):
    return stream.getvalue().splitlines()


def record(error=None, message="a job failed", *args, at=1000.0):
    exc_info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("procrastinate.worker", logging.ERROR, __file__, 1, message, args, exc_info)
    made.created = at
    return made


def raised(work):
    """The error that ``work`` ends with, with its traceback."""
    try:
        work()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def connect():
    return psycopg.connect(host=str(ENVIRONMENT.socket_dir), dbname="postgres", user="postgres", autocommit=True)


def lost():
    """The connection of somebody whom the server throws out, and the errors of using it."""
    with connect() as other:
        ours = connect()
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [ours.info.backend_pid])
    return ours, [raised(lambda: ours.execute("SELECT 1")) for _ in range(2)]


def refused():
    return raised(lambda: psycopg.connect("host=127.0.0.1 port=1 user=nobody"))


def wrapped(problem):
    """As Django and Procrastinate wrap it."""

    def work():
        raise OperationalError("Database error.") from problem

    return raised(work)


def test_the_settings_use_it():
    assert settings.LOGGING["handlers"]["stderr"]["filters"] == ["database_away"]
    assert settings.LOGGING["filters"]["database_away"] == {"()": "console.installation.logs.DatabaseAway"}


def test_a_lost_connection_is_one_line(handler, stream):
    _connection, errors = lost()
    for error in [*errors, wrapped(errors[0]), refused()]:
        handler.handle(record(error, "job %s:\n    failed", 100))
    [line] = lines(stream)
    assert line.startswith("job 100: failed [the database cannot be reached: terminating connection due to")
    assert line.endswith("; what else fails for this within 10 s is not logged]")


@pytest.mark.parametrize("number", range(2))
def test_each_kind_of_loss(handler, stream, number):
    _connection, errors = lost()
    handler.handle(record(errors[number]))
    handler.handle(record(wrapped(wrapped(refused())), at=1010.0))
    assert len(lines(stream)) == 2
    assert "failed: Connection refused" in lines(stream)[1]


def test_it_is_said_again_when_it_lasts(handler, stream):
    for at in (1000.0, 1009.0, 1010.0, 1012.0, 1020.0, 5.0):
        handler.handle(record(refused(), f"at {at}", at=at))
    assert [line.split(" [")[0] for line in lines(stream)] == ["at 1000.0", "at 1010.0", "at 1020.0", "at 5.0"]


def test_the_connection_pool(handler, stream):
    """It logs the error, or the connection, and no traceback."""
    connection, errors = lost()
    handler.handle(record(None, "discarding closed connection: %s", connection))
    handler.handle(record(None, "error connecting in %r: %s", "pool-1", errors[0]))
    [line] = lines(stream)
    assert line.startswith("discarding closed connection: <psycopg.Connection [BAD]")
    assert "the database cannot be reached: a connection broke;" in line


def another():
    def work():
        try:
            raise refused()
        except psycopg.OperationalError:
            {}["a mistake of ours"]

    return raised(work)


def database_errors():
    with connect() as connection:
        yield raised(lambda: connection.execute("SELECT 1 / 0"))
        connection.execute("SET statement_timeout = 1")
        yield raised(lambda: connection.execute("SELECT pg_sleep(60)"))


def test_everything_else_is_logged_whole(handler, stream):
    handler.handle(record(refused()))
    for error in [another(), *database_errors()]:
        before = len(lines(stream))
        handler.handle(record(error))
        assert lines(stream)[before] == "a job failed"
        assert "Traceback (most recent call last):" in lines(stream)[before:]
    with connect() as connection:
        handler.handle(record(None, "returned: %s", connection))
    handler.handle(record(None, "100 %% of %(what)s", {"what": "it"}))
    handler.handle(record(None, "nothing special"))
    assert [line.partition(":")[0] for line in lines(stream)[-3:]] == ["returned", "100 % of it", "nothing special"]


def test_a_worker_that_starts_without_a_database(monkeypatch):
    def reconcile_soon():
        raise OperationalError("connection failed: nobody answers\nIs the server running?")

    monkeypatch.setattr(worker, "reconcile_soon", reconcile_soon)
    with pytest.raises(CommandError) as told:
        call_command("worker")
    assert str(told.value) == "The worker cannot start without the database: connection failed: nobody answers"
