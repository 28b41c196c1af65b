"""Job queues, locks, retries with backoff, and deduplication of jobs.

The queue is Procrastinate's, in PostgreSQL: a job is deferred in the transaction that makes it necessary, and one
whose worker died is started again (``console.operations.jobs``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from django.db import DatabaseError, close_old_connections, connection, transaction
from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job
from procrastinate.tasks import Task

from console.jobs.outages import is_database_outage, is_outage

log = logging.getLogger(__name__)

# Several queues, so that long deletions never keep a push from showing on the pages, nor slow registries elsewhere a
# deletion from beginning.
INDEX_QUEUE = "index"
WORK_QUEUE = "work"
TRANSFER_QUEUE = "transfer"
# Of work that has failed: whatever else can be done comes first, also what has the same lock. Fresh work has 0, or less
# where its account has much of it waiting (console.repositories.fairness), and always more than this.
LATER_PRIORITY = -2000
_QUEUE_AGAIN_SECONDS = 0.5
# Two days of tries. What was not given up before, as it should be, ends as a failed job in the administration.
_MOST_ATTEMPTS = 5000


def repository_lock(repository: str) -> str:
    """Jobs with this lock run one after another: by priority, then in the order they were asked for."""
    return f"repository:{repository}"


def repository_of_lock(lock: str) -> str:
    """The repository whose lock this is; empty when it is another one."""
    kind, _separator, repository = lock.partition(":")
    return repository if kind == "repository" else ""


def busy_repositories(repositories: Iterable[str]) -> set[str]:
    """Those of these repositories that a job with the repository's lock is at work on, or waits for."""
    locks = {repository_lock(repository): repository for repository in repositories}
    jobs = ProcrastinateJob.objects.filter(lock__in=locks, status__in=["todo", "doing"])
    return {locks[lock] for lock in jobs.values_list("lock", flat=True) if lock}


class KeepTrying(BaseRetryStrategy):
    """Tries again after 1, 2, 4 … at most ``longest`` seconds: for work that must end some day.

    For ever while the registry or the database is away (``console.jobs.outages``): not where it is there and refuses.
    Work that fails otherwise is given up by the job itself, which says so on the pages
    (``console.repositories.failures``).
    """

    def __init__(self, longest: int = 30) -> None:
        self.longest = longest

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """When to try again after ``exception``; not at all where it was tried very often and is no outage."""
        if job.attempts >= _MOST_ATTEMPTS and not (is_outage(exception) or is_database_outage(exception)):
            return None
        seconds = min(self.longest, 2 ** min(job.attempts, 10))
        # Of what has failed, too, those come first whose account has less.
        priority = job.priority if job.priority <= LATER_PRIORITY else LATER_PRIORITY + min(job.priority, 0)
        return RetryDecision(retry_in={"seconds": seconds}, priority=priority)


_WAITS = "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE queueing_lock = %s AND status = 'todo')"


def defer_once(
    task: Task[Any, Any, Any], key: str, *, lock: str, in_seconds: int = 0, priority: int = 0, **arguments: Any
) -> bool:
    """Queue ``task`` unless the same is waiting already; whether it was queued.

    :param key: what makes two jobs the same.
    """
    # Mostly it can be seen beforehand: a refused row is an error in the database's log.
    with connection.cursor() as cursor:
        cursor.execute(_WAITS, [key])
        if cursor.fetchone()[0]:
            return False
    schedule: dict[str, Any] = {"schedule_in": {"seconds": in_seconds}} if in_seconds else {}
    try:
        # A refused row would spoil the caller's transaction, were it not in a savepoint of its own.
        with transaction.atomic():
            task.configure(lock=lock, queueing_lock=key, priority=priority, **schedule).defer(**arguments)
    except AlreadyEnqueued:
        return False
    return True


def defer_again(
    task: Task[Any, Any, Any], key: str, *, lock: str, attempt: int, longest: int = 30, **arguments: Any
) -> None:
    """Queue what has failed once more, after 1, 2, 4 … at most ``longest`` seconds, unless that is waiting already.

    A job that was queued under a key cannot be retried when the same was queued while it ran: there may be one of them,
    Procrastinate's retry fails, and the job's row would hold its lock for ever.

    A database that is there and has no room is asked until it has: nobody else would do what has failed.

    :param key: what the job was queued under; this one waits under another, so that news need not wait with it.
    :param attempt: how often it has failed before; ``task`` is given one more.
    :raises django.db.DatabaseError: when the connection is lost. The worker that lost it ends, and whoever takes its
        place looks at everything.
    """
    refused = False
    while True:
        # What failed may have been the connection, and would fail here again.
        close_old_connections()
        try:
            _defer_again(task, key, lock, attempt, longest, arguments)
        except (DatabaseError, ConnectorException) as error:
            if connection.in_atomic_block or not _has_no_room(error):
                raise
            if not refused:
                log.warning("%s cannot be queued again yet: %s", task.name, error.__cause__ or error)
            refused = True
            time.sleep(_QUEUE_AGAIN_SECONDS)
        else:
            return


def _defer_again(
    task: Task[Any, Any, Any], key: str, lock: str, attempt: int, longest: int, arguments: dict[str, Any]
) -> None:
    if ProcrastinateJob.objects.filter(queueing_lock=f"{key} again", status="todo").exists():
        return
    later = task.configure(
        lock=lock,
        queueing_lock=f"{key} again",
        priority=LATER_PRIORITY,
        schedule_in={"seconds": min(longest, 2 ** min(attempt, 10))},
    )
    try:
        with transaction.atomic():
            later.defer(attempt=attempt + 1, **arguments)
    except AlreadyEnqueued:
        pass


def _has_no_room(error: BaseException) -> bool:
    """Whether the database is there and short of something, such as its disk (PostgreSQL's errors of class 53)."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (getattr(error, "sqlstate", None) or "").startswith("53")
