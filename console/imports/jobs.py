"""Background jobs of imports."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator

from django.db import DatabaseError, connection
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from console.access.quotas import FETCHED_AT_ONCE
from console.imports import copying, credentials
from console.imports.models import Transfer
from console.jobs.queue import LATER_PRIORITY, TRANSFER_QUEUE, WORK_QUEUE, KeepTrying, repository_lock
from console.repositories.fairness import priority_of
from console.repositories.models import Image

# Length of a turn; after it, between two blobs, the job is queued again behind others.
_TURN_SECONDS = 20
# Longest backoff; external registries are retried less often than our own.
_LONGEST_WAIT = 60
# Delay of further transfers while all of the account's slots are taken.
_WAIT_SECONDS = 5


def _lock(transfer: Transfer) -> str:
    return f"transfer:{transfer.pk}"


def start(transfer: Transfer, *, later: bool = False, in_seconds: int = 0) -> None:
    """Queue the first step, in the caller's transaction. It waits for an earlier attempt of the same transfer."""
    lock = _lock(transfer)
    priority = LATER_PRIORITY if later else 0
    if in_seconds:
        task = fetch.configure(lock=lock, priority=priority, schedule_in={"seconds": in_seconds})
    else:
        task = fetch.configure(lock=lock, priority=priority)
    task.defer(transfer_id=transfer.pk, attempt=transfer.attempt)


def seconds_until_next_try(transfers: Iterable[Transfer]) -> dict[int, int]:
    """When blocked copies are retried, by ID: in whole seconds, 0 while a retry is running.

    A copy is missing if that is not known, because its last step waits for another job on its image.
    """
    locks = {_lock(transfer): transfer.pk for transfer in transfers}
    if not locks:
        return {}
    jobs = ProcrastinateJob.objects.filter(lock__in=locks, status__in=["todo", "doing"])
    now = timezone.now()
    # The running and the waiting job have the same lock; the earliest counts.
    found: dict[int, int] = {}
    for job in jobs:
        due = job.scheduled_at if job.status == "todo" else None
        seconds = max(0, math.ceil((due - now).total_seconds())) if due else 0
        transfer_id = locks[str(job.lock)]
        found[transfer_id] = min(seconds, found.get(transfer_id, seconds))
    return found


def _start_finish(transfer: Transfer) -> None:
    image = Image.objects.select_related("namespace").get(pk=transfer.image_id)
    task = finish.configure(lock=repository_lock(image.repository), priority=priority_of(image))
    task.defer(transfer_id=transfer.pk, attempt=transfer.attempt)


@contextlib.contextmanager
def _slot(account_id: str) -> Iterator[bool]:
    """Take one of the account's slots (concurrency limit); yields whether one was free.

    An advisory lock, which is released with the connection when the worker dies.
    """
    taken = None
    with connection.cursor() as cursor:
        for number in range(FETCHED_AT_ONCE):
            key = f"transfers.fetch:{number}:{account_id}"
            cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [key])
            if cursor.fetchone()[0]:
                taken = key
                break
    try:
        yield taken is not None
    finally:
        if taken is not None:
            with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [taken])


def _others_wait(transfer: Transfer) -> bool:
    """Whether the account has more running transfers than slots."""
    under_way = Transfer.objects.filter(requested_by=transfer.requested_by, state=Transfer.State.RUNNING)
    return under_way.count() > FETCHED_AT_ONCE


@app.task(name="transfers.fetch", queue=TRANSFER_QUEUE, retry=KeepTrying(_LONGEST_WAIT))
def fetch(transfer_id: int, attempt: int) -> None:
    """First step: copy blobs and manifests; starts or resumes."""
    transfer = copying.running(transfer_id, attempt).first()
    # A transfer that is not running any more needs no slot.
    with _slot(transfer.requested_by) if transfer else contextlib.nullcontext(True) as free:
        over = not free or _turn_is_over(transfer_id, attempt)
    transfer = copying.running(transfer_id, attempt).first() if over else None
    if transfer is None:
        return
    if not free:
        start(transfer, later=True, in_seconds=_WAIT_SECONDS)
    else:
        # Queued late enough that the account's other transfers get the slot first.
        start(transfer, later=True, in_seconds=_WAIT_SECONDS + 1 if _others_wait(transfer) else 0)


def _turn_is_over(transfer_id: int, attempt: int) -> bool:
    """Work for a turn; returns whether work is left."""
    end = time.monotonic() + _TURN_SECONDS
    try:
        copying.fetch(transfer_id, attempt, lambda: time.monotonic() > end, _start_finish)
    except copying.TurnOver:
        return True
    return False


@app.task(name="transfers.finish", queue=WORK_QUEUE, retry=KeepTrying())
def finish(transfer_id: int, attempt: int) -> None:
    """Second step: write the tag."""
    copying.finish(transfer_id, attempt, start)


@app.periodic(cron="* * * * *")
@app.task(name="transfers.forget_credentials", queue=WORK_QUEUE, queueing_lock="transfers.forget_credentials")
def forget_credentials(timestamp: int = 0) -> None:
    """Delete expired credentials of imports."""
    credentials.forget_expired()
