"""Job queues, locks, retries with backoff, and deduplication of jobs.

The queue is Procrastinate's, in PostgreSQL: a job is deferred in the transaction that makes it necessary. A job whose
worker died is retried (``console.operations.jobs``).
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

# Several queues, so that long deletions never delay the sync of pushes, and slow external registries never delay
# deletions.
INDEX_QUEUE = "index"
WORK_QUEUE = "work"
TRANSFER_QUEUE = "transfer"
# Priority of retries: all new jobs come first, also those with the same lock. New jobs have 0, or less if their account
# has many waiting jobs (console.repositories.fairness), but always more than this.
LATER_PRIORITY = -2000
_QUEUE_AGAIN_SECONDS = 0.5
# Two days of retries. Jobs should give up earlier themselves; after this one is listed as failed in the administration.
_MOST_ATTEMPTS = 5000


def repository_lock(repository: str) -> str:
    """The lock that serialises the jobs of one repository: by priority, then in the order they were queued."""
    return f"repository:{repository}"


def repository_of_lock(lock: str) -> str:
    """The repository whose lock this is; empty when it is another one."""
    kind, _separator, repository = lock.partition(":")
    return repository if kind == "repository" else ""


def busy_repositories(repositories: Iterable[str]) -> set[str]:
    """Those of these repositories that have a waiting or running job with the repository's lock."""
    locks = {repository_lock(repository): repository for repository in repositories}
    jobs = ProcrastinateJob.objects.filter(lock__in=locks, status__in=["todo", "doing"])
    return {locks[lock] for lock in jobs.values_list("lock", flat=True) if lock}


class KeepTrying(BaseRetryStrategy):
    """Retry strategy with exponential backoff: after 1, 2, 4 … at most ``longest`` seconds.

    Without limit during an outage of the registry or the database (``console.jobs.outages``). For other errors the job
    itself gives up after some attempts, and pages show that (``console.repositories.failures``).
    """

    def __init__(self, longest: int = 30) -> None:
        self.longest = longest

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """When to retry after ``exception``; never after very many attempts, unless it is an outage."""
        if job.attempts >= _MOST_ATTEMPTS and not (is_outage(exception) or is_database_outage(exception)):
            return None
        seconds = min(self.longest, 2 ** min(job.attempts, 10))
        # Fair scheduling among retries, too: accounts with fewer waiting jobs come first.
        priority = job.priority if job.priority <= LATER_PRIORITY else LATER_PRIORITY + min(job.priority, 0)
        return RetryDecision(retry_in={"seconds": seconds}, priority=priority)


_IS_WAITING = "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE queueing_lock = %s AND status = 'todo')"


def defer_once(
    task: Task[Any, Any, Any], key: str, *, lock: str, in_seconds: int = 0, priority: int = 0, **arguments: Any
) -> bool:
    """Queue ``task`` unless a job with the same ``key`` is waiting (deduplication).

    :param key: the queueing lock.
    :return: whether it was queued.
    """
    # Checked first: a violated constraint would be an error in the database's log. A race is handled below.
    with connection.cursor() as cursor:
        cursor.execute(_IS_WAITING, [key])
        if cursor.fetchone()[0]:
            return False
    schedule: dict[str, Any] = {"schedule_in": {"seconds": in_seconds}} if in_seconds else {}
    try:
        # A savepoint: a violated constraint would abort the caller's transaction.
        with transaction.atomic():
            task.configure(lock=lock, queueing_lock=key, priority=priority, **schedule).defer(**arguments)
    except AlreadyEnqueued:
        return False
    return True


def defer_again(
    task: Task[Any, Any, Any], key: str, *, lock: str, attempt: int, longest: int = 30, **arguments: Any
) -> None:
    """Queue a retry of a failed job, after 1, 2, 4 … at most ``longest`` seconds, unless one is waiting already.

    Procrastinate's own retry fails for a job with a queueing lock if another with the same key was queued while it ran;
    the job's row would then hold its lock for ever.

    If the database lacks a resource (such as disk space), this waits until it is back: the retry would be lost
    otherwise.

    :param key: the queueing lock of the job; the retry has another, so that new events are not blocked behind it.
    :param attempt: how many attempts have failed before; ``task`` is given one more.
    :raises django.db.DatabaseError: when the connection is lost. The worker then exits, and the next one reconciles
        everything when it starts.
    """
    logged = False
    while True:
        # A broken connection may be why the job failed; it would fail here again.
        close_old_connections()
        try:
            _defer_again(task, key, lock, attempt, longest, arguments)
        except (DatabaseError, ConnectorException) as error:
            if connection.in_atomic_block or not _lacks_resources(error):
                raise
            if not logged:
                log.warning("%s cannot be queued again yet: %s", task.name, error.__cause__ or error)
            logged = True
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


def _lacks_resources(error: BaseException) -> bool:
    """Whether the database lacks a resource such as disk space (PostgreSQL's errors of class 53)."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (getattr(error, "sqlstate", None) or "").startswith("53")
