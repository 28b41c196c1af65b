"""Reconcile the index with the registry: add what is missing, remove what is proven to be gone.

1. **Collecting.** The names of all repositories, the registry's and the index's, are written down: a list that pushes
   arriving meanwhile do not make longer, and where a walk that was broken off goes on.
2. **Looking.** Each repository's tags are compared with the index. What is there and not indexed, or elsewhere, is
   indexed. What is indexed and proven to be gone is marked, and not removed yet.
3. **Removing.** What was marked is removed, after one more look, unless it is more than a set share of everything
   looked at: that is more likely a registry that lost its disk than people who deleted so much. Then the walk asks.

Nothing that a registry fails to answer, denies, redirects or does not know as a whole removes anything. A repository
that cannot be read is told of and does not hold up the others; many in a row, or a registry that does not answer at
all, end the walk, which goes on from there the next time.

One process at a time walks over everything (``alone``); walks over some repositories do not mind others.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from time import monotonic

from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from console.accounts.models import Account
from console.audit.services import record
from console.jobs.outages import is_database_outage
from console.registry.connection import registry
from console.registry.index.models import Reconcile, ReconcileItem
from console.registry.index.reconcile_repository import forget_gone_manifests, raise_if_down, reconcile_one
from console.registry.index.reconcile_result import ReconcileResult
from console.registry.index.sync import TagSync
from console.registry.index.tag_rows import Outcome
from console.repositories.models import Image, Tag
from registry_client import InvalidName, RegistryError
from registry_client.names import check_repository

log = logging.getLogger(__name__)

_BATCH = 1000
# Distribution reads its whole tree for each page.
_CATALOG_PAGE = 100_000
# Below so many, removals are not judged by their share: of three tags one is a third.
_FEW = 10
DEFAULT_SHARE = 10
# So many repositories in a row that cannot be read are the registry's fault.
_MOST_UNREADABLE = 20
# What a killed walk has to look at once more.
_SAVED_EVERY_SECONDS = 1.0
_LONGEST_NAME = 255
# The key of the database's advisory lock.
_LOCK = 0x7265636F6E63696C

Report = Callable[[str], None]


class AlreadyWalking(Exception):
    """Another process walks over the registry just now."""


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Be the only one that walks over everything. The lock goes with the database connection when the process dies.

    :raises AlreadyWalking: when another process does.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            raise AlreadyWalking
    try:
        yield
    finally:
        with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def begin(repositories: Iterable[str] = (), *, adopt_for: str = "") -> Reconcile:
    """Start a walk, or take up the one over everything that was broken off.

    :param repositories: what to look at; everything when empty.
    :param adopt_for: the Account ID that namespaces nobody has go to; with none they are only told of.
    :raises AlreadyWalking: when another process walks over everything, which was asked for.
    """
    # What is too long for a name is cut, and then told of as unknown.
    names = sorted({name[:_LONGEST_NAME] for name in repositories})
    if names:
        with transaction.atomic():
            walk = Reconcile.objects.create(
                whole=False, adopt_for=adopt_for, total=len(names), state=Reconcile.State.RUNNING
            )
            _write_down(walk, names)
        return walk
    with alone():
        walk = _unfinished().first() or Reconcile.objects.create(adopt_for=adopt_for)
        if adopt_for and walk.adopt_for != adopt_for:
            # What was passed over as nobody's must be looked at once more.
            walk.adopt_for, walk.state = adopt_for, Reconcile.State.COLLECTING
            walk.save(update_fields=["adopt_for", "state"])
        return walk


def _unfinished() -> QuerySet[Reconcile]:
    return Reconcile.objects.filter(whole=True, state__in=[Reconcile.State.COLLECTING, Reconcile.State.RUNNING])


def walk_on(
    walk: Reconcile,
    *,
    share: int = DEFAULT_SHARE,
    agreed: int = 0,
    report: Report = log.info,
    left_out: Report | None = None,
    moved: Callable[[Reconcile], None] = lambda walk: None,
) -> Reconcile:
    """Go on with a walk until it has ended or asks for a decision.

    :param share: the most per cent of the tags looked at that may be removed without asking.
    :param agreed: so many tags may be removed whatever their share, because somebody was asked.
    :param report: is told each change, and each problem, in one line.
    :param left_out: is told of each repository that is nobody's; ``report`` when not given.
    :param moved: is told when a repository was looked at.
    :raises registry_client.RegistryError: when the registry cannot be asked; calling again goes on from there.
    :raises AlreadyWalking: when another process walks over everything, as this walk does.
    """
    with alone() if walk.whole else contextlib.nullcontext():
        # Another process may have taken it further meanwhile.
        walk.refresh_from_db()
        if walk.state == Reconcile.State.COLLECTING:
            _collect(walk, report)
        if walk.state == Reconcile.State.RUNNING:
            moved(walk)
            _look_at_all(walk, report, left_out or report, moved)
            _decide(walk, share, agreed, report)
        elif walk.state == Reconcile.State.ASKING and (agreed or share >= 100):
            _decide(walk, share, agreed, report)
    return walk


# --- 1. collecting --------------------------------------------------------------------------------------------------


def _collect(walk: Reconcile, report: Report) -> None:
    try:
        unusable = _collect_from(walk, _CATALOG_PAGE)
    except RegistryError as error:
        if error.status != 400:
            raise
        unusable = _collect_from(walk, _BATCH)  # a registry that allows no page so large
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO indexing_reconcileitem (reconcile_id, repository) "
            "SELECT %s, full_name FROM images_image ON CONFLICT DO NOTHING",
            [walk.pk],
        )
    for name in unusable[:_FEW]:
        report(f"{name[:300]!r}: this is not the name of a repository")
    walk.counts = {"problems": len(unusable)}
    walk.total, walk.done, walk.state = walk.items.count(), 0, Reconcile.State.RUNNING
    walk.save(update_fields=["counts", "total", "done", "state"])


def _collect_from(walk: Reconcile, page_size: int) -> list[str]:
    """Write down the registry's repositories; what it lists that can be none."""
    walk.items.all().delete()
    unusable: list[str] = []
    for names in _batches(registry().catalog(page_size)):
        usable = [name for name in names if _is_repository(name)]
        if len(usable) < len(names):
            unusable += set(names).difference(usable)
        _write_down(walk, usable)
    return unusable


def _is_repository(name: str) -> bool:
    try:
        check_repository(name)
    except InvalidName:
        return False
    return True


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    names = iter(names)
    while batch := list(islice(names, _BATCH)):
        yield batch


def _write_down(walk: Reconcile, names: Iterable[str]) -> None:
    ReconcileItem.objects.bulk_create(
        [ReconcileItem(reconcile=walk, repository=name) for name in names], ignore_conflicts=True
    )


# --- 2. looking -----------------------------------------------------------------------------------------------------


def _look_at_all(walk: Reconcile, report: Report, left_out: Report, moved: Callable[[Reconcile], None]) -> None:
    """Look at every repository that is written down.

    Those of a walk over everything are crossed off, so that it goes on after them; those of a walk over some are
    needed to the end, for only what is theirs may be removed.
    """
    owner = Account.objects.filter(account_id=walk.adopt_for, is_active=True).first() if walk.adopt_for else None
    last = unreadable = 0
    saved_at = monotonic()
    try:
        for item in _items(walk):
            finding, failure = _look(walk, item.repository, owner)
            for line in finding.lines():
                (left_out if finding.nobodys else report)(line)
            walk.counts = dict(Counter(walk.counts) + finding.counts())
            walk.done = min(walk.total, walk.done + 1)
            last = item.pk
            moved(walk)
            unreadable = unreadable + 1 if failure else 0
            if failure and unreadable >= _MOST_UNREADABLE:
                raise failure
            if monotonic() - saved_at >= _SAVED_EVERY_SECONDS:
                _save(walk, last)
                saved_at = monotonic()
    finally:
        _save(walk, last)


def _items(walk: Reconcile) -> Iterator[ReconcileItem]:
    last = 0
    while batch := list(walk.items.filter(pk__gt=last).order_by("pk")[:_BATCH]):
        yield from batch
        last = batch[-1].pk


def _look(walk: Reconcile, repository: str, owner: Account | None) -> tuple[ReconcileResult, Exception | None]:
    """Look at one repository; what only goes wrong there does not end the walk."""
    try:
        finding = reconcile_one(repository, adopt_for=owner)
    except RegistryError as error:
        raise_if_down(error)
        return ReconcileResult(repository, problem=f"unexpected response from the registry: {error}"), error
    except Exception as error:
        if is_database_outage(error):
            raise
        # One repository that cannot be handled must not keep all behind it from ever being looked at.
        log.exception("%s cannot be compared with the index", repository)
        return ReconcileResult(
            repository, problem=f"it could not be compared with the index: {type(error).__name__}"
        ), error
    if finding.unknown and not walk.whole:
        # Somebody named it. The catalogue also lists what is only being uploaded.
        finding.problem = "neither the registry nor the index knows it"
    return finding, None


def _save(walk: Reconcile, last: int) -> None:
    """Write down how far the walk is, and cross off what it need not look at any more, up to the item ``last``."""
    with transaction.atomic():
        walk.save(update_fields=["counts", "done"])
        if walk.whole:
            walk.items.filter(pk__lte=last).delete()


# --- 3. removing ----------------------------------------------------------------------------------------------------


def _marked(walk: Reconcile) -> QuerySet[Tag]:
    """The tags that this walk may remove."""
    marked = Tag.objects.filter(missing_at__isnull=False, state=Tag.State.ACTIVE, image__state=Image.State.ACTIVE)
    return marked if walk.whole else marked.filter(image__full_name__in=walk.items.values("repository"))


def _decide(walk: Reconcile, share: int, agreed: int, report: Report) -> None:
    """Remove what is proven to be gone, or ask first."""
    known, missing = walk.counts.get("known", 0), _marked(walk).count()
    walk.counts = {**walk.counts, "missing": missing}
    if share < 100 and missing > max(_FEW, agreed) and missing * 100 > known * share:
        walk.state = Reconcile.State.ASKING
        walk.problem = (
            f"{missing:,} of {known:,} tags are no longer in the registry, more than {share} %. Nothing was removed."
        )
        walk.save(update_fields=["counts", "state", "problem"])
        report(walk.problem)
    else:
        removed = _remove_marked(walk, report)
        walk.counts = {**walk.counts, "removed": removed}
        walk.state, walk.problem, walk.ended_at = Reconcile.State.DONE, "", timezone.now()
        walk.save(update_fields=["counts", "state", "problem", "ended_at"])
        walk.items.all().delete()
    _forget_old()


def _remove_marked(walk: Reconcile, report: Report) -> int:
    """Look once more at each marked tag and remove it when it is still gone; how many were removed."""
    removed = 0
    marked = _marked(walk)
    images = Image.objects.filter(pk__in=marked.values("image")).select_related("namespace").order_by("pk")
    for image in images.iterator(_BATCH):
        reader, gone, forgotten = TagSync(image.repository), [], 0
        try:
            for name in list(marked.filter(image=image).order_by("name").values_list("name", flat=True)):
                if reader.sync_tag(name) is Outcome.REMOVED:
                    gone.append(name)
                    report(f"{image.repository}:{name}: removed, no longer in the registry")
            forgotten = forget_gone_manifests(image) if gone else 0
        except RegistryError as error:
            raise_if_down(error)
            report(f"{image.repository}: unexpected response from the registry: {error}")
            walk.counts["problems"] = walk.counts.get("problems", 0) + 1
        finally:
            reader.refresh_totals()
            if gone:
                record(
                    "index.mended",
                    image.repository,
                    actor="reconcile",
                    removed=gone[:100],
                    removed_in_all=len(gone),
                    forgotten=forgotten,
                )
        walk.counts["forgotten"] = walk.counts.get("forgotten", 0) + forgotten
        removed += len(gone)
    return removed


_COUNTED = {
    "added": "tags added",
    "moved": "tags moved",
    "removed": "removed",
    "put_back": "put back in the registry",
    "forgotten": "manifests removed from the index",
    "totals": "totals corrected",
    "adopted": "namespaces adopted",
    "nobodys": "repositories without an owner",
    "problems": "with problems",
}


def summary(walk: Reconcile) -> str:
    """What a walk came to, in one sentence of numbers; of what there was none of, nothing."""
    parts = [f"{walk.counts[name]:,} {what}" for name, what in _COUNTED.items() if walk.counts.get(name)]
    if not parts and walk.state == Reconcile.State.DONE:
        parts = ["no differences"]
    return ", ".join([f"{walk.done:,} repositories checked", *parts]) + "."


def found_in_order(walk: Reconcile) -> bool:
    """Whether there was nothing that ``summary`` would tell of."""
    return not any(walk.counts.get(name) for name in _COUNTED)


def _forget_old() -> None:
    """Keep the last hundred walks, and the one that may still go on."""
    kept = Reconcile.objects.order_by("-pk").values_list("pk", flat=True)[:100]
    Reconcile.objects.exclude(pk__in=list(kept)).exclude(pk__in=_unfinished()).delete()
