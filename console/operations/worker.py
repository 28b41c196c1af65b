"""The job worker: one process with one Procrastinate worker for each queue."""

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
# Threads for DNS lookups of the event loop, which uses the same pool.
_SPARE_THREADS = 2
_STORE_AGAIN_SECONDS = 0.5
_WAITS = "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE queueing_lock = %(key)s AND status = 'todo') AS waits"


class _RetryingJobManager(JobManager):
    """Retries storing a job's result while the database lacks a resource, such as disk space.

    Procrastinate tries it only once; the job would then stay assigned to its running worker for ever.
    """

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Store that a job has ended."""
        await _until_stored(functools.partial(super().finish_job, job, status, delete_job))

    async def retry_job(self, job: Job, *arguments: Any, **options: Any) -> None:
        """Store that a job is to be retried.

        :raises UniqueViolation: when the same job is queued already.
        """
        await _until_stored(functools.partial(super().retry_job, job, *arguments, **options))

    async def defer_periodic_job(self, job: Job, periodic_id: str, defer_timestamp: int) -> int | None:
        """Queue a periodic job, unless the previous one is still waiting.

        Checked first: a violated constraint is an error in the database's log, one for each queue's worker at each tick
        while the jobs are delayed.

        :raises AlreadyEnqueued: when the previous one is still waiting.
        """
        # A copy, because the workers share the arguments of a job: another one could change the time meanwhile (race).
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
                # A permanent error of the queue: another process has stored the result, or deleted the job.
                log.error("a job's result is not stored: %s", error.__cause__)
                return
            if not refused:
                log.warning("a job's result cannot be stored yet, retrying: %s", error.__cause__ or error)
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
        # Without the database a worker cannot store results of its jobs, which would stay assigned to it for ever. It
        # exits instead, and the next worker retries them.
        log.error("the worker exits: it has lost the database")
        os._exit(1)
    for worker in workers:
        worker.cancel()
    _done, late = await asyncio.wait(workers, timeout=_GRACE_SECONDS + 1)
    if late:
        # A long job is still running: it will be resumed.
        os._exit(0)


def _reconcile_soon() -> None:
    """Queue a reconcile after a restart of the registry, whose pending notifications are lost."""
    try:
        reconcile_soon()
    except (DatabaseError, ConnectorException) as error:
        # If this worker exits, the next one reconciles when it starts.
        log.warning("the registry was restarted; the reconcile is delayed to the next hour: %s", error)
    finally:
        connection.close()


async def _watch_database() -> None:
    """Health check of the database on a separate connection; returns when it does not answer any more."""
    try:
        async with await psycopg.AsyncConnection.connect(**connector_params(), autocommit=True) as connection:
            while True:
                await asyncio.wait_for(connection.execute("SELECT 1"), _DATABASE_SECONDS)
                await asyncio.sleep(HEARTBEAT_SECONDS / 2)
    except (psycopg.Error, TimeoutError):
        return


def run_worker(*, wait: bool = True) -> None:
    """Run jobs until SIGTERM or SIGINT.

    :param wait: if false, run the jobs that are queued now, and return.
    """
    connector = app.connector
    if not isinstance(connector, DjangoConnector):
        raise TypeError("the worker needs the Django connector")

    async def main() -> None:
        # As many threads as concurrent jobs: the default is lower on a machine with few cores, and a fetched job would
        # wait for a thread.
        threads = ThreadPoolExecutor(sum(CONCURRENCY.values()) + _SPARE_THREADS, thread_name_prefix="job")
        asyncio.get_running_loop().set_default_executor(threads)
        async with opened.open_async():
            await _work(opened, wait=wait)

    with app.replace_connector(connector.get_worker_connector()) as opened:
        usual, opened.job_manager = opened.job_manager, _RetryingJobManager(opened.connector)
        try:
            asyncio.run(main())
        finally:
            opened.job_manager = usual
