"""Numbers of the front page. Each statement reads a bounded number of rows, or is answered by an index."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.db.models import Count, Max, Q, QuerySet
from procrastinate.contrib.django.models import ProcrastinateJob, ProcrastinateWorker

from console.accounts.event_words import EventInWords, in_words
from console.accounts.models import Account
from console.administration.attention import Attention, sentences
from console.administration.navigation import GROUPS
from console.audit.models import AuditEvent
from console.operations.task_words import task_name
from console.registry.index.models import Reconcile
from console.registry.retry import RETRYABLE
from console.repositories.models import WorkFailure
from console.web.templatetags.console import number

# So many accounts, jobs, problems and images are counted; of more, the page says "more than".
MOST_COUNTED = 10_000
MOST_IMAGES = 200_000
_TOP_NAMESPACES = 10
_FAILURES = 5
_EVENTS = 10
_NEW_DAYS = datetime.timedelta(days=7)
_DAY = datetime.timedelta(days=1)
# A worker gives a sign of life every two seconds.
_SILENT_SECONDS = datetime.timedelta(seconds=60)

_STORAGE = """
WITH counted AS (
    SELECT namespace_id, least(sum(size), 9223372036854775807) AS size, count(*) AS images
    FROM (SELECT namespace_id, size FROM images_image LIMIT %s) AS image GROUP BY namespace_id
)
SELECT namespace.id, namespace.name, counted.size, counted.images,
       least(sum(counted.size) OVER (), 9223372036854775807), sum(counted.images) OVER (), count(*) OVER ()
FROM counted JOIN namespaces_namespace AS namespace ON namespace.id = counted.namespace_id
ORDER BY counted.size DESC, namespace.name LIMIT %s
"""


@dataclass(frozen=True)
class Counted:
    """A number that was counted up to a limit."""

    number: int
    more: bool = False

    @property
    def text(self) -> str:
        """The number as pages show it; with a plus where there are more."""
        return f"{number(self.number)}+" if self.more else number(self.number)

    @classmethod
    def of(cls, rows: QuerySet[Any]) -> Counted:
        """How many rows there are."""
        return cls.up_to(rows.order_by()[: MOST_COUNTED + 1].count())

    @classmethod
    def up_to(cls, found: int) -> Counted:
        """What is shown for ``found`` rows, of which one more than the limit was asked for."""
        return cls(min(found, MOST_COUNTED), found > MOST_COUNTED)


@dataclass(frozen=True)
class Accounts:
    """Accounts by state. Of very many, those that were created last are counted."""

    total: Counted
    activated: int
    new: int
    deactivated: int


@dataclass(frozen=True)
class Share:
    """A namespace's part of the storage. ``percent`` is of the largest one's."""

    pk: int
    name: str
    size: int
    images: int
    percent: float


@dataclass(frozen=True)
class Storage:
    """What is stored, and in which namespaces most of it."""

    shares: Sequence[Share]
    size: int
    images: int
    namespaces: int

    @property
    def more(self) -> bool:
        """Whether there are images that were not counted."""
        return self.images >= MOST_IMAGES

    @property
    def others(self) -> int:
        """How many namespaces are not among the largest."""
        return self.namespaces - len(self.shares)


@dataclass(frozen=True)
class FailedJob:
    """A job that failed."""

    pk: int
    name: str
    at: datetime.datetime


@dataclass(frozen=True)
class Jobs:
    """The queue: jobs by state, and the newest that failed in the last day."""

    waiting: Counted
    running: Counted
    failed: Counted
    newest: Sequence[FailedJob]
    worker: bool


@dataclass(frozen=True)
class Problems:
    """Work that was given up, the newest first."""

    total: Counted
    newest: Sequence[WorkFailure]


class Overview:
    """What the front page shows of an installation; nothing of what the account may not see.

    :ivar links: for the label of each model that the account may see, the address of its list.
    :ivar lists: the same for templates: by ``app_model``, and empty for what it may not see.
    """

    retryable = RETRYABLE

    def __init__(
        self, groups: Iterable[dict[str, Any]], user: AbstractBaseUser | AnonymousUser, now: datetime.datetime
    ) -> None:
        self.now = now
        models = [model for group in groups for model in group["models"] if model["admin_url"]]
        self.links: dict[str, str] = {model["model"]._meta.label_lower: model["admin_url"] for model in models}
        self.lists = {label.replace(".", "_"): self.links.get(label, "") for group in GROUPS for label in group.models}
        allowed = user.get_all_permissions() if isinstance(user, Account) else set()
        self.may_retry_jobs = "procrastinate.change_procrastinatejob" in allowed
        self.may_retry_problems = "images.delete_image" in allowed

    def _may_see(self, *labels: str) -> bool:
        return all(label in self.links for label in labels)

    @cached_property
    def accounts(self) -> Accounts | None:
        """Accounts of people by state."""
        if not self._may_see("accounts.account"):
            return None
        newest = Account.objects.filter(is_service=False).order_by("-pk")[: MOST_COUNTED + 1]
        found = Account.objects.filter(pk__in=newest.values("pk")).aggregate(
            total=Count("pk"),
            activated=Count("pk", filter=Q(credential__activated_at__isnull=False)),
            new=Count("pk", filter=Q(created_at__gt=self.now - _NEW_DAYS)),
            deactivated=Count("pk", filter=Q(is_active=False)),
        )
        return Accounts(Counted.up_to(found.pop("total")), **found)

    @cached_property
    def storage(self) -> Storage | None:
        """Storage by namespace."""
        if not self._may_see("namespaces.namespace", "images.image"):
            return None
        with connection.cursor() as cursor:
            cursor.execute(_STORAGE, [MOST_IMAGES, _TOP_NAMESPACES])
            rows = cursor.fetchall()
        if not rows:
            return Storage((), 0, 0, 0)
        top = max(int(rows[0][2]), 1)
        shares = [Share(pk, name, int(size), images, int(size) * 100 / top) for pk, name, size, images, *_ in rows]
        return Storage(shares, int(rows[0][4]), int(rows[0][5]), rows[0][6])

    @cached_property
    def jobs(self) -> Jobs | None:
        """The queue."""
        if not self._may_see("procrastinate.procrastinatejob"):
            return None
        jobs = ProcrastinateJob.objects.all()
        failed = jobs.filter(
            status="failed", procrastinateevent__type="failed", procrastinateevent__at__gt=self.now - _DAY
        ).distinct()
        newest = failed.annotate(failed_at=Max("procrastinateevent__at")).order_by("-failed_at", "-pk")[:_FAILURES]
        seen = ProcrastinateWorker.objects.aggregate(seen=Max("last_heartbeat"))["seen"]
        return Jobs(
            waiting=Counted.of(jobs.filter(status="todo")),
            running=Counted.of(jobs.filter(status="doing")),
            failed=Counted.of(failed),
            newest=[FailedJob(job.pk, task_name(job.task_name), job.failed_at) for job in newest],
            worker=seen is not None and seen > self.now - _SILENT_SECONDS,
        )

    @cached_property
    def problems(self) -> Problems | None:
        """Work that was given up."""
        if not self._may_see("images.workfailure"):
            return None
        given_up = WorkFailure.objects.filter(given_up_at__isnull=False)
        return Problems(Counted.of(given_up), list(given_up.order_by("-given_up_at", "-pk")[:_FAILURES]))

    @cached_property
    def events(self) -> list[EventInWords] | None:
        """The newest audit events of the last day."""
        if not self._may_see("audit.auditevent"):
            return None
        events = AuditEvent.objects.filter(at__gt=self.now - _DAY).order_by("-at", "-id").defer("detail")
        return in_words(events[:_EVENTS])

    @cached_property
    def index_check(self) -> Reconcile | None:
        """The last check of the index against everything in the registry."""
        if not self._may_see("indexing.reconcile"):
            return None
        return Reconcile.objects.filter(whole=True).order_by("-pk").first()

    @cached_property
    def backup(self) -> datetime.datetime | None:
        """When the last backup was made with ``manage.py backup``."""
        if not self._may_see("audit.auditevent"):
            return None
        made = AuditEvent.objects.filter(action="backup.make").order_by("-at", "-id")
        return made.values_list("at", flat=True).first()

    @cached_property
    def attention(self) -> list[Attention]:
        """What somebody should do something about."""
        return sentences(self)
