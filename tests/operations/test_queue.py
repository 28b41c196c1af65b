"""Which failures the queue tries for ever, and which it ends one day; periodic jobs that lag behind."""

import asyncio

import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from procrastinate.periodic import PeriodicDeferrer

from console.jobs.queue import LATER_PRIORITY, KeepTrying
from console.operations.jobs import raise_waiting
from console.operations.worker import _RetryingJobManager
from console.registry.jobs import forget_documents
from registry_client import Denied, MalformedManifest, RegistryUnavailable, Unauthorized


def decision(error, attempts):
    job = Job(id=1, queue="work", lock=None, queueing_lock=None, task_name="x", attempts=attempts)
    return KeepTrying().get_retry_decision(exception=error, job=job)


@pytest.mark.parametrize(
    "error",
    [
        DataError("too long"),
        IntegrityError("twice"),
        MalformedManifest("odd"),
        Denied("no", status=403),
        RegistryUnavailable("broken", status=500),
        RuntimeError("a defect"),
    ],
)
def test_what_is_refused_ends_one_day(error):
    assert decision(error, 4999) is not None
    assert decision(error, 5000) is None


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("no room"),
        InterfaceError("closed"),
        RegistryUnavailable("down"),
        RegistryUnavailable("down", status=503),
        Unauthorized("who", status=401),
    ],
)
def test_an_outage_is_waited_for(error):
    assert decision(error, 5000) is not None


class TestPeriodicJobs:
    """While the worker lags, its jobs still wait when the next tick comes."""

    @pytest.fixture
    def tasks(self, queue):
        return [task for task in app.periodic_registry.periodic_tasks.values() if task.task.queueing_lock]

    @pytest.fixture
    def opened(self, monkeypatch):
        with app.replace_connector(app.connector.get_worker_connector()) as opened, monkeypatch.context() as patched:
            patched.setattr(opened, "job_manager", _RetryingJobManager(opened.connector))
            yield opened

    def test_they_are_passed_over_without_a_statement_that_fails(self, opened, tasks, monkeypatch):
        failed = []
        stored = JobManager.defer_periodic_job

        async def watch(self, job, *arguments, **options):
            try:
                return await stored(self, job, *arguments, **options)
            except AlreadyEnqueued:
                failed.append(job.task_name)
                raise

        monkeypatch.setattr(JobManager, "defer_periodic_job", watch)

        async def lag():
            async with opened.open_async():
                for timestamp in (1000, 2000, 3000):
                    await PeriodicDeferrer(opened.periodic_registry).defer_jobs([(task, timestamp) for task in tasks])

        asyncio.run(lag())
        names = sorted(task.task.name for task in tasks)
        assert sorted(ProcrastinateJob.objects.values_list("task_name", flat=True)) == names
        assert len(names) >= 5
        assert failed == []

    def test_the_workers_of_several_queues_defer_them_at_once(self, opened, tasks):
        async def start():
            async with opened.open_async():
                deferrers = [PeriodicDeferrer(opened.periodic_registry) for _ in range(3)]
                await asyncio.gather(
                    *(one.defer_jobs([(task, 1000 + number) for task in tasks]) for number, one in enumerate(deferrers))
                )

        asyncio.run(start())
        assert ProcrastinateJob.objects.count() == len(tasks)


@pytest.mark.django_db
def test_what_waits_is_raised_and_what_has_failed_is_not():
    """Whoever has much waiting comes later, but not for ever."""
    for number, priority in enumerate([0, -10, -120, LATER_PRIORITY, LATER_PRIORITY - 5]):
        task = forget_documents.configure(lock=f"raised {number}", queueing_lock=f"raised {number}", priority=priority)
        task.defer(timestamp=0)
    raise_waiting()
    priorities = ProcrastinateJob.objects.filter(lock__startswith="raised").order_by("id")
    assert list(priorities.values_list("priority", flat=True)) == [0, 0, -70, LATER_PRIORITY, LATER_PRIORITY - 5]
