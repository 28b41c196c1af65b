"""Preparing a start, and the worker."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
from urllib.parse import quote

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from console.accounts.models import Account
from console.installation.environment import BASE_DIR
from console.local.children import RECONCILE_SIGNAL
from console.operations import jobs as operations_jobs
from console.operations.worker import run_worker
from console.registry import jobs as image_jobs
from console.registry.connection import registry
from console.registry.index import hints
from console.registry.index import jobs as index_jobs
from console.registry.index.reconcile import AlreadyRunning
from console.registry.index.sync import reread_image
from console.repositories.models import Image
from console.repositories.services import mark_image_for_deletion
from registry_client import RegistryUnavailable
from tests.operations.conftest import refusing_twice
from tests.support.factories import AccountFactory, ImageFactory
from tests.support.ports import free_port
from tests.support.pushed_images import push_image
from tests.support.stack import wait_until


@pytest.mark.django_db
class TestPrepare:
    def prepare(self, monkeypatch, password=""):
        monkeypatch.setenv("ADMIN_PASSWORD", password)
        out = io.StringIO()
        call_command("prepare", stdout=out)
        return out.getvalue()

    def test_the_first_start_makes_an_administrator(self, monkeypatch):
        out = self.prepare(monkeypatch)
        lines = dict(line.split(": ") for line in out.splitlines())
        account = authenticate(username=lines["Account ID"], password=lines["Password"])
        assert account.is_superuser
        assert self.prepare(monkeypatch) == ""
        assert Account.objects.count() == 1

    def test_with_a_given_password(self, monkeypatch):
        out = self.prepare(monkeypatch, "given by hand 1")
        account = Account.objects.get()
        assert out == f"Account ID: {account.account_id}\n"
        assert account.check_password("given by hand 1")

    def test_with_a_given_password_that_is_weak(self, monkeypatch):
        with pytest.raises(CommandError, match="ADMIN_PASSWORD cannot be used"):
            self.prepare(monkeypatch, "short")
        assert not Account.objects.exists()

    def test_not_when_there_are_accounts(self, monkeypatch):
        AccountFactory()
        assert self.prepare(monkeypatch) == ""


@pytest.mark.usefixtures("queue")
class TestWorker:
    def test_it_works(self, registry_server):
        image = ImageFactory()
        push_image(registry(), image.repository, "v1")
        reread_image(image.repository)
        mark_image_for_deletion(image.namespace.owner, image)
        run_worker(wait=False)
        assert not Image.objects.exists()
        assert not ProcrastinateJob.objects.filter(task_name="images.delete_image").exists()

    def test_a_failed_job_waits_and_is_tried_again(self, registry_server, settings):
        there = settings.CONSOLE_REGISTRY_URL
        image = ImageFactory()
        mark_image_for_deletion(image.namespace.owner, image)
        settings.CONSOLE_REGISTRY_URL = "http://127.0.0.1:9"
        run_worker(wait=False)
        job = ProcrastinateJob.objects.get(task_name="images.delete_image")
        assert (job.status, job.attempts) == ("todo", 1)
        assert job.scheduled_at is not None
        settings.CONSOLE_REGISTRY_URL = there
        image_jobs.delete_image(image.pk)
        assert not Image.objects.exists()


@pytest.mark.usefixtures("queue")
def test_a_signal_makes_a_worker_look_at_everything_again(monkeypatch):
    """The supervisor sends it when the registry was started anew; neither the worker's start nor the hour is needed."""
    looked, number = threading.Event(), RECONCILE_SIGNAL
    before = {one: signal.getsignal(one) for one in (number, signal.SIGTERM, signal.SIGINT)}

    def begin():
        looked.set()
        raise AlreadyRunning

    def send():
        # Without the worker's handler it would end this process.
        with contextlib.suppress(AssertionError):
            wait_until(lambda: signal.getsignal(number) != before[number], "the worker listens", 20)
            os.kill(os.getpid(), number)
            looked.wait(20)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("console.registry.index.reconcile.begin", begin)
    sender = threading.Thread(target=send)
    # Until the worker listens.
    signal.signal(signal.SIGTERM, lambda *_: None)
    sender.start()
    try:
        run_worker()
    finally:
        sender.join()
        for one, handler in before.items():
            signal.signal(one, handler)
    assert looked.is_set()


@pytest.fixture
def full_disk(queue):
    """A database that has no room twice when somebody writes down how a job ended."""
    with refusing_twice("UPDATE OR DELETE ON procrastinate_jobs FOR EACH ROW WHEN (OLD.status = 'doing')"):
        yield


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("well", [True, False])
def test_a_job_whose_end_finds_no_room_in_the_database_is_not_stuck(monkeypatch, caplog, well):
    def work(image, turn_over):
        if not well:
            raise RegistryUnavailable("gone")

    monkeypatch.setattr("console.registry.deletion.images.run_image_deletion", work)
    image = ImageFactory()
    mark_image_for_deletion(image.namespace.owner, image)
    run_worker(wait=False)
    left = ProcrastinateJob.objects.filter(task_name="images.delete_image").values_list("status", "attempts")
    assert list(left) == ([] if well else [("todo", 1)])
    assert caplog.text.count("cannot be stored yet, retrying: could not extend file") == 1


@pytest.mark.usefixtures("queue")
def test_a_job_that_is_no_longer_there_keeps_no_place(monkeypatch, caplog):
    """Its end cannot be stored by anybody, however often it is tried."""

    def work(image, turn_over):
        ProcrastinateJob.objects.all()._raw_delete(using="default")

    monkeypatch.setattr("console.registry.deletion.images.run_image_deletion", work)
    image = ImageFactory()
    mark_image_for_deletion(image.namespace.owner, image)
    run_worker(wait=False)
    assert "a job's result is not stored: Job was not found" in caplog.text


@pytest.mark.usefixtures("queue")
def test_a_job_whose_worker_was_killed_while_the_same_waits_again(registry_server):
    """It must not stay in the way of the one that waits behind its lock."""
    with connection.cursor() as cursor:
        for status in ("doing", "todo"):
            cursor.execute(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status) "
                "VALUES ('index', 'indexing.follow_hints', 'repository:aa/bb', 'hints aa/bb', %s, %s)",
                ['{"repository": "aa/bb"}', status],
            )
    operations_jobs.resume_stalled.defer()
    run_worker(wait=False)
    run_worker(wait=False)
    assert not ProcrastinateJob.objects.filter(task_name="indexing.follow_hints").exists()


@pytest.mark.usefixtures("queue")
def test_hints_whose_job_failed_with_the_database_are_followed():
    for tag in ("v1", "v2"):
        hints.remember([hints.Notice("aa/bb", tag)])
    hints.remember([hints.Notice("aa/cc", "v1")])
    index_jobs.reconcile_soon()
    index_jobs.reconcile_soon()
    waiting = ProcrastinateJob.objects.filter(task_name="indexing.follow_hints", status="todo")
    assert sorted(job.args["repository"] for job in waiting) == ["aa/bb", "aa/cc"]


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize(
    ("task", "work", "arguments", "key"),
    [
        (index_jobs.sync_hints, "console.registry.index.hints.sync_repository", {"repository": "aa/bb"}, "hints aa/bb"),
        (index_jobs.reconcile, "console.registry.index.reconcile.begin", {}, "indexing.reconcile"),
    ],
)
def test_a_job_that_fails_while_the_same_waits_keeps_nothing_locked(monkeypatch, task, work, arguments, key):
    """Whatever it fails with: the one that waits runs, and so does the one that tries again."""
    runs = []

    def fail(*_arguments):
        runs.append(task.configure(lock="the lock", queueing_lock=key).defer(**arguments) if not runs else 0)
        raise OperationalError("deadlock detected")

    monkeypatch.setattr(work, fail)
    task.configure(lock="the lock", queueing_lock=key).defer(**arguments)
    # A worker that waits for nothing may end before it has seen the one that was queued meanwhile.
    for _once in range(2):
        run_worker(wait=False)
    assert len(runs) >= 2
    jobs = ProcrastinateJob.objects.filter(task_name=task.name)
    assert [(job.status, job.queueing_lock) for job in jobs] == [("todo", f"{key} again")]


def test_every_task_names_its_queue():
    from console.operations.worker import CONCURRENCY

    app.perform_import_paths()
    own = [task for name, task in app.tasks.items() if not name.startswith(("builtin", "procrastinate"))]
    assert len(own) >= 7
    assert {task.queue for task in own} == set(CONCURRENCY)


class TestWithoutAnInstallation:
    """Commands are run by hand, and with another ``DATA_DIR`` than the installation has they find none."""

    NEEDED = [
        ["createaccount", "--name", "Ann", "--password-stdin"],
        ["signinlink", "123456789012"],
        ["grant", "sea", "123456789012", "reader"],
        ["revoke", "sea", "123456789012"],
        ["access", "123456789012"],
        ["reconcile"],
        ["rotate_signing_key"],
    ]

    def run(self, *arguments, **variables):
        ours = ("DATABASE_", "DATA_", "REGISTRY_", "CONSOLE_", "DOCKERHUB")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        variables = {"REGISTRY_PORT": str(free_port()), **variables}
        return subprocess.run(
            [sys.executable, str(BASE_DIR / "manage.py"), *arguments],
            env={**inherited, **variables}, input="a good password 1\n", capture_output=True, text=True, check=False,
        )  # fmt: skip

    @pytest.mark.parametrize("command", NEEDED, ids=lambda command: command[0])
    def test_each_says_what_to_do(self, tmp_path, command):
        done = self.run(*command, DATA_DIR=str(tmp_path))
        assert done.returncode == 1
        assert done.stderr == (
            f"CommandError: My Images is not running with DATA_DIR={tmp_path}: start it, or run this command with the "
            "same DATA_DIR and other variables as make run.\n"
        )
        assert done.stdout == ""

    def test_with_a_database_that_is_another_programs(self, settings):
        host = settings.DATABASES["default"]["HOST"]
        done = self.run(*self.NEEDED[0], DATABASE_URL=f"postgresql://postgres@/postgres?host={quote(host, safe='')}")
        assert done.returncode == 1
        assert done.stderr.startswith("CommandError: My Images has no database at DATABASE_URL")
        assert done.stderr.count("\n") == 1

    @pytest.mark.parametrize(("variables", "sentence"), [
        ({"DATA_DIR": "/proc/none"}, "DATA_DIR cannot be used (/proc/none: "),
        ({"CONSOLE_PORT": "x"}, "CONSOLE_PORT is 'x'; it must be a port number"),
    ])  # fmt: skip
    def test_what_cannot_be_used_is_one_sentence(self, variables, sentence):
        done = self.run(*self.NEEDED[0], **variables)
        assert done.returncode == 1
        assert done.stderr.startswith(sentence)
        assert done.stderr.count("\n") == 1
