"""The job worker: one process with a worker for each queue."""

from __future__ import annotations

import asyncio
import signal

from procrastinate import App
from procrastinate.contrib.django import app
from procrastinate.contrib.django.django_connector import DjangoConnector

from console.operations.jobs import HEARTBEAT_SECONDS, STALLED_SECONDS
from console.queue import INDEX_QUEUE, WORK_QUEUE

CONCURRENCY = {INDEX_QUEUE: 4, WORK_QUEUE: 3}
_GRACE_SECONDS = 3.0


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
    if wait:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: [worker.cancel() for worker in workers])
    # If one stops by itself (the database went away), the process ends, and whoever started it starts it again.
    _done, pending = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED if wait else asyncio.ALL_COMPLETED)
    for worker in pending:
        worker.cancel()
    for result in await asyncio.gather(*workers, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


def run_worker(*, wait: bool = True) -> None:
    """Run jobs until told to stop by SIGTERM or SIGINT.

    :param wait: when false, run what is queued now and return.
    """
    connector = app.connector
    if not isinstance(connector, DjangoConnector):
        raise TypeError("the worker needs the Django connector")

    async def main() -> None:
        async with opened.open_async():
            await _work(opened, wait=wait)

    with app.replace_connector(connector.get_worker_connector()) as opened:
        asyncio.run(main())
