"""Fair scheduling of the long jobs of several accounts: the more jobs of an account wait, the later its next one."""

from __future__ import annotations

import functools
import operator

from django.db.models import Q
from procrastinate.contrib.django.models import ProcrastinateJob

from console.jobs.queue import LATER_PRIORITY, WORK_QUEUE, repository_lock
from console.namespaces.models import Namespace
from console.repositories.models import Image

# More than these are not counted: all work that waits still comes before what has failed (LATER_PRIORITY).
MOST_COUNTED = 1000
# Work that has had a turn comes after the fresh work of accounts with fewer jobs waiting than this.
_TURN = 10


def priority_of(image: Image, *, after_turn: bool = False) -> int:
    """The priority of one more job on an image: 0, less one for each job that waits on images of the same owner.

    So one account's thousand jobs keep another's single one waiting for no more than those under way.

    :param image: with its namespace.
    :param after_turn: whether the job has had a turn and goes on.
    """
    waiting = _waiting(WORK_QUEUE, image.namespace.owner_id)
    return max(-waiting - (_TURN if after_turn else 0), LATER_PRIORITY + 1)


def priority_in(queue: str, repository: str) -> int:
    """The priority of one more job of ``queue`` on a repository, of which there may be no image yet; as above."""
    owners = Namespace.objects.filter(name=repository.partition("/")[0]).values_list("owner", flat=True)
    return max((-_waiting(queue, owner) for owner in owners), default=0)


def _waiting(queue: str, owner: int) -> int:
    """How many jobs of the queue wait on repositories of an account, by its primary key; at most ``MOST_COUNTED``."""
    names = Namespace.objects.filter(owner=owner).values_list("name", flat=True)
    locks = [Q(lock__startswith=repository_lock(f"{name}/")) for name in names]
    jobs = ProcrastinateJob.objects.filter(queue_name=queue, status="todo").order_by()
    return jobs.filter(functools.reduce(operator.or_, locks))[:MOST_COUNTED].count() if locks else 0
