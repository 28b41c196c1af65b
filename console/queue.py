"""How jobs are queued: names of the queues, locks, and what happens after a failure.

The queue is Procrastinate's, in PostgreSQL: a job is deferred in the transaction that makes it necessary, and one
whose worker died is started again (``console.operations.jobs``).
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Job
from procrastinate.tasks import Task

# Two queues, so that long deletions never keep a push from showing on the pages.
INDEX_QUEUE = "index"
WORK_QUEUE = "work"


def repository_lock(repository: str) -> str:
    """Jobs with this lock run one after another, in the order they were asked for."""
    return f"repository:{repository}"


class KeepTrying(BaseRetryStrategy):
    """Tries again for ever, after 1, 2, 4 … at most ``longest`` seconds: for work that must end some day."""

    def __init__(self, longest: int = 30) -> None:
        self.longest = longest

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        """When to try again after ``exception``."""
        return RetryDecision(retry_in={"seconds": min(self.longest, 2 ** min(job.attempts, 10))})


def defer_once(task: Task[Any, Any, Any], key: str, *, lock: str, in_seconds: int = 0, **arguments: Any) -> bool:
    """Queue ``task`` unless the same is waiting already; whether it was queued.

    :param key: what makes two jobs the same.
    """
    schedule: dict[str, Any] = {"schedule_in": {"seconds": in_seconds}} if in_seconds else {}
    try:
        # A refused row would spoil the caller's transaction, were it not in a savepoint of its own.
        with transaction.atomic():
            task.configure(lock=lock, queueing_lock=key, **schedule).defer(**arguments)
    except AlreadyEnqueued:
        return False
    return True
