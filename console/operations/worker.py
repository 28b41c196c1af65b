"""The job worker: one process with a worker for each queue."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from django.db import DatabaseError, connection
from procrastinate import App
from procrastinate.contrib.django import app
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.contrib.django.utils import connector_params
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

from console.jobs.queue import INDEX_QUEUE, TRANSFER_QUEUE, WORK_QUEUE
from console.operations.jobs import HEARTBEAT_SECONDS, STALLED_SECONDS
from console.registry.index.jobs import reconcile_soon

log = logging.getLogger(__name__)

CONCURRENCY = {INDEX_QUEUE: 4, WORK_QUEUE: 3, TRANSFER_QUEUE: 4}
_GRACE_SECONDS = 2.0
_DATABASE_SECONDS = 10.0
# The event loop looks up names in the same threads.
_SPARE_THREADS = 2
_STORE_AGAIN_SECONDS = 0.5
_WAITS = "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE queueing_lock = %(key)s AND status = 'todo') AS waits"


class _PatientManager(JobManager):
    """Writes down how a job ended, however often the database refuses that while it is there: on a full disk, say.

    Procrastinate tries it once. The job would be its living worker's for ever then, and nobody would start it again.
    """

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Store that a job has ended."""
        await _until_stored(functools.partial(super().finish_job, job, status, delete_job))

    async def retry_job(self, job: Job, *arguments: Any, **options: Any) -> None:
        """Store that a job is to be tried again.

        :raises UniqueViolation: when the same is queued already.
        """
        await _until_stored(functools.partial(super().retry_job, job, *arguments, **options))

    async def defer_periodic_job(self, job: Job, periodic_id: str, defer_timestamp: int) -> int | None:
        """Queue a periodic job, unless the one before it still waits.

        Seen beforehand: a refused row is an error in the database's log, one for each queue's worker at each tick while
        the jobs lag behind.

        :raises AlreadyEnqueued: when it still waits.
        """
        # The workers' deferrers share the arguments of a job: while this one waits, another sets its own time in them.
        job = job.evolve(task_kwargs={**job.task_kwargs})
        if (await self.connector.execute_query_one_async(_WAITS, key=job.queueing_lock))["waits"]:
            raise AlreadyEnqueued
        return await super().defer_periodic_job(job, periodic_id, defer_timestamp)


async def _until_stored(store: Callable[[], Awaitable[None]]) -> None:
    refused = False
    while True:
        try:
            await store()
        except UniqueViolation:
            raise
        except ConnectorException as error:
            if isinstance(error.__cause__, psycopg.errors.RaiseException):
                # The queue's own answer, which stays the same: somebody else has stored it, or has removed the job.
                log.error("how a job ended is not stored: %s", error.__cause__)
                return
            if not refused:
                log.warning("how a job ended cannot be stored yet: %s", error.__cause__ or error)
            refused = True
            await asyncio.sleep(_STORE_AGAIN_SECONDS)
        else:
            return


async def _work(opened: App, *, wait: bool) -> None:
    workers = [
        asyncio.create_task(
            opened.run_worker_async(
                queues=[queue],
                name=queue,
                concurrency=concurrency,
                wait=wait,
                listen_notify=wait,
                fetch_job_polling_interval=0.5,
                shutdown_graceful_timeout=_GRACE_SECONDS,
                delete_jobs="successful",
                install_signal_handlers=False,
                update_heartbeat_interval=HEARTBEAT_SECONDS,
                stalled_worker_timeout=STALLED_SECONDS,
            ),
            name=queue,
        )
        for queue, concurrency in CONCURRENCY.items()
    ]
    if not wait:
        await asyncio.gather(*workers)
        return
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: loop.run_in_executor(None, _reconcile_soon))
    guard = asyncio.create_task(_watch_database(), name="guard")
    asked = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait([*workers, guard, asked], return_when=asyncio.FIRST_COMPLETED)
    if not asked.done():
        # Without its database a worker cannot say how its jobs ended: they would stay its own for ever. It ends at
        # once instead, and whoever takes its place starts them again.
        log.error("the worker ends: it lost the database")
        os._exit(1)
    for worker in workers:
        worker.cancel()
    _done, late = await asyncio.wait(workers, timeout=_GRACE_SECONDS + 1)
    if late:
        # A long job is in the middle: it is started again where it was.
        os._exit(0)


def _reconcile_soon() -> None:
    """The registry was started anew: what it had not told yet is found by a walk."""
    try:
        reconcile_soon()
    except (DatabaseError, ConnectorException) as error:
        # Whoever takes this worker's place looks again as it starts.
        log.warning("the registry was started anew and is looked at within the hour: %s", error)
    finally:
        connection.close()


async def _watch_database() -> None:
    """Return when the database no longer answers on a connection kept for nothing else."""
    try:
        async with await psycopg.AsyncConnection.connect(**connector_params(), autocommit=True) as connection:
            while True:
                await asyncio.wait_for(connection.execute("SELECT 1"), _DATABASE_SECONDS)
                await asyncio.sleep(HEARTBEAT_SECONDS / 2)
    except (psycopg.Error, TimeoutError):
        return


def run_worker(*, wait: bool = True) -> None:
    """Run jobs until told to stop by SIGTERM or SIGINT.

    :param wait: when false, run what is queued now and return.
    """
    connector = app.connector
    if not isinstance(connector, DjangoConnector):
        raise TypeError("the worker needs the Django connector")

    async def main() -> None:
        # As many threads as jobs at once: by default there are fewer on a machine with few cores, and a job that was
        # taken would wait for one.
        threads = ThreadPoolExecutor(sum(CONCURRENCY.values()) + _SPARE_THREADS, thread_name_prefix="job")
        asyncio.get_running_loop().set_default_executor(threads)
        async with opened.open_async():
            await _work(opened, wait=wait)

    with app.replace_connector(connector.get_worker_connector()) as opened:
        usual, opened.job_manager = opened.job_manager, _PatientManager(opened.connector)
        try:
            asyncio.run(main())
        finally:
            opened.job_manager = usual
