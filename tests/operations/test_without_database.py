"""What becomes of jobs when the database has no room, or goes away."""

import os
import signal
import threading

import pytest
from django.db import OperationalError, connection
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import ConnectorException

from console.operations import worker
from console.registry.index import jobs as index_jobs
from registry_client import RegistryUnavailable
from tests.operations.conftest import refusing_twice
from tests.support.stack import wait_until

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def full_disk(queue):
    """A database that has no room twice when what has failed is queued once more."""
    with refusing_twice("INSERT ON procrastinate_jobs FOR EACH ROW WHEN (NEW.queueing_lock LIKE '% again')"):
        yield


@pytest.fixture
def failing(queue, monkeypatch):
    """A walk over the registry that fails, and is queued."""

    def fail():
        raise RegistryUnavailable("gone")

    monkeypatch.setattr("console.registry.index.reconcile.begin", fail)
    index_jobs.reconcile_soon()


def left():
    jobs = ProcrastinateJob.objects.filter(task_name="indexing.reconcile")
    return list(jobs.values_list("status", "queueing_lock"))


@pytest.mark.usefixtures("full_disk", "failing")
def test_what_failed_and_finds_no_room_to_be_queued_again_is_queued_when_there_is_some(caplog):
    worker.run_worker(wait=False)
    assert left() == [("todo", "indexing.reconcile again")]
    assert caplog.text.count("indexing.reconcile cannot be queued again yet: could not extend file") == 1


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("error", [OperationalError("the connection is closed"), ConnectorException()])
def test_a_database_that_does_not_answer_is_not_waited_for(monkeypatch, error):
    """The worker ends without it, and whoever takes its place looks at everything."""
    asked = []

    def defer_again(*_arguments):
        asked.append(1)
        raise error

    monkeypatch.setattr("console.jobs.queue._defer_again", defer_again)
    worker.run_worker(wait=False)
    assert asked == [1]
    assert left() == [("failed", "indexing.reconcile")]


class Ended(BaseException):
    """In place of the end of the process."""


def test_a_worker_that_loses_the_database_ends(monkeypatch):
    """It could not say how its jobs ended: they would be its own for ever."""

    def end(code):
        raise Ended(code)

    def lose():
        try:
            # What it keeps for that alone: its other connections are made anew.
            wait_until(cut, "its connection is there", 20)
            over.wait(20)
        finally:
            connection.close()
            if not over.is_set():
                os.kill(os.getpid(), signal.SIGTERM)

    def cut():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query = 'SELECT 1' AND pid <> pg_backend_pid()"
            )
            return cursor.fetchall()

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("console.operations.worker.os._exit", end)
    over, thread = threading.Event(), threading.Thread(target=lose)
    # Until the worker listens.
    signal.signal(signal.SIGTERM, lambda *_: None)
    thread.start()
    try:
        with pytest.raises(Ended, match="1"):
            worker.run_worker()
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGTERM, before)
