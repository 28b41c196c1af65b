"""Fair scheduling of the long jobs of several accounts: the more jobs of an account wait, the later its next one."""

from __future__ import annotations

import functools
import operator

from django.db.models import Q
from procrastinate.contrib.django.models import ProcrastinateJob

from console.jobs.queue import LATER_PRIORITY, WORK_QUEUE, repository_lock
from console.namespaces.models import Namespace
from console.repositories.models import Image

# More are not counted, so that new jobs always come before retries (LATER_PRIORITY).
MOST_COUNTED = 1000
# Continued jobs count as so many more waiting jobs, so they come after new jobs of accounts with fewer.
_TURN = 10


def priority_of(image: Image, *, after_turn: bool = False) -> int:
    """The priority of a new job on an image: 0 minus one for each waiting job on images of the same owner.

    So a thousand jobs of one account do not delay the single job of another account; it waits only for running ones.

    :param image: with its namespace.
    :param after_turn: whether the job continues after its turn.
    """
    waiting = _waiting(WORK_QUEUE, image.namespace.owner_id)
    return max(-waiting - (_TURN if after_turn else 0), LATER_PRIORITY + 1)


def priority_in(queue: str, repository: str) -> int:
    """Like ``priority_of``, for a job of ``queue`` on a repository that may have no image yet."""
    owners = Namespace.objects.filter(name=repository.partition("/")[0]).values_list("owner", flat=True)
    return max((-_waiting(queue, owner) for owner in owners), default=0)


def _waiting(queue: str, owner: int) -> int:
    """Number of waiting jobs of the queue on an account's repositories; at most ``MOST_COUNTED``."""
    names = Namespace.objects.filter(owner=owner).values_list("name", flat=True)
    locks = [Q(lock__startswith=repository_lock(f"{name}/")) for name in names]
    jobs = ProcrastinateJob.objects.filter(queue_name=queue, status="todo").order_by()
    return jobs.filter(functools.reduce(operator.or_, locks))[:MOST_COUNTED].count() if locks else 0
