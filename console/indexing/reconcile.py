"""Walking over the registry and mending the index.

1. **Collecting.** The names of all repositories, the registry's and the index's, are written down: a list that pushes
   arriving meanwhile do not make longer, and where a walk that was broken off goes on.
2. **Looking.** Each repository's tags are compared with the index. What is there and not indexed, or elsewhere, is
   indexed. What is indexed and proven to be gone is marked, and not removed yet.
3. **Removing.** What was marked is removed, after one more look, unless it is more than a set share of everything
   looked at: that is more likely a registry that lost its disk than people who deleted so much. Then the walk asks.

Nothing that a registry fails to answer, denies, redirects or does not know as a whole removes anything.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from django.db import connection, transaction
from django.utils import timezone

from console.accounts.models import Account
from console.audit.services import record
from console.images.models import Image, Tag
from console.indexing.adoption import adopt
from console.indexing.models import Reconcile, ReconcileItem
from console.indexing.repository import Finding, look_at
from console.indexing.services import Outcome, Reader
from console.registry import registry
from registry_client import RegistryError, RegistryUnavailable, Unauthorized

log = logging.getLogger(__name__)

_BATCH = 1000
# Distribution reads its whole tree for each page.
_CATALOG_PAGE = 100_000
# Below so many, removals are not judged by their share: of three tags one is a third.
_FEW = 10
DEFAULT_SHARE = 10

Report = Callable[[str], None]


def begin(repositories: Iterable[str] = (), *, adopt_for: str = "") -> Reconcile:
    """Start a walk, or take up the one over everything that was broken off.

    :param repositories: what to look at; everything when empty.
    :param adopt_for: the Account ID that namespaces nobody has go to; with none they are only told of.
    """
    repositories = list(repositories)
    if repositories:
        walk = Reconcile.objects.create(whole=False, adopt_for=adopt_for, total=len(set(repositories)))
        _write_down(walk, repositories)
        Reconcile.objects.filter(pk=walk.pk).update(state=Reconcile.State.RUNNING)
        walk.refresh_from_db()
        return walk
    unfinished = Reconcile.objects.filter(
        whole=True, state__in=[Reconcile.State.COLLECTING, Reconcile.State.RUNNING]
    ).first()
    if unfinished is not None:
        if adopt_for and unfinished.adopt_for != adopt_for:
            # What was passed over as nobody's must be looked at once more.
            unfinished.adopt_for, unfinished.state, unfinished.total, unfinished.done = adopt_for, "collecting", 0, 0
            unfinished.save()
        return unfinished
    return Reconcile.objects.create(adopt_for=adopt_for)


def walk_on(
    walk: Reconcile,
    *,
    share: int = DEFAULT_SHARE,
    report: Report = log.info,
    moved: Callable[[Reconcile], None] = lambda walk: None,
) -> Reconcile:
    """Go on with a walk until it has ended or asks for a decision.

    :param share: the most per cent of the tags looked at that may be removed without asking.
    :param report: is told each change in one line.
    :param moved: is told when a repository was looked at.
    :raises registry_client.RegistryError: when the registry cannot be asked; calling again goes on from there.
    """
    if walk.state == Reconcile.State.COLLECTING:
        _collect(walk)
    if walk.state == Reconcile.State.RUNNING:
        moved(walk)
        for item in _items(walk):
            finding = _look(walk, item.repository, report)
            with transaction.atomic():
                _add(walk, finding)
                item.delete()
            moved(walk)
    if walk.state == Reconcile.State.RUNNING or (walk.state == Reconcile.State.ASKING and share >= 100):
        _decide(walk, share, report)
    return walk


def _items(walk: Reconcile) -> Iterator[ReconcileItem]:
    while batch := list(walk.items.order_by("pk")[:_BATCH]):
        yield from batch


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    names = iter(names)
    while batch := list(islice(names, _BATCH)):
        yield batch


# --- 1. collecting --------------------------------------------------------------------------------------------------


def _collect(walk: Reconcile) -> None:
    try:
        _collect_from(walk, _CATALOG_PAGE)
    except RegistryError as error:
        if error.status != 400:
            raise
        _collect_from(walk, _BATCH)  # a registry that allows no page so large
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO indexing_reconcileitem (reconcile_id, repository) "
            "SELECT %s, name FROM images_imagename ON CONFLICT DO NOTHING",
            [walk.pk],
        )
    walk.total, walk.done, walk.counts, walk.state = walk.items.count(), 0, {}, Reconcile.State.RUNNING
    walk.save()


def _collect_from(walk: Reconcile, page_size: int) -> None:
    walk.items.all().delete()
    for names in _batches(registry().catalog(page_size)):
        _write_down(walk, names)


def _write_down(walk: Reconcile, names: Iterable[str]) -> None:
    ReconcileItem.objects.bulk_create(
        [ReconcileItem(reconcile=walk, repository=name) for name in names if len(name) <= 255], ignore_conflicts=True
    )


# --- 2. looking -----------------------------------------------------------------------------------------------------


def _look(walk: Reconcile, repository: str, report: Report) -> Finding:
    """Look at one repository; what only goes wrong there is told and does not end the walk."""
    try:
        if walk.adopt_for:
            owner = Account.objects.get(account_id=walk.adopt_for)
            if adopt(repository, owner):
                report(f"{repository}: its namespace is given to {walk.adopt_for}")
        finding = look_at(repository)
    except (RegistryUnavailable, Unauthorized):
        raise
    except RegistryError as error:
        finding = Finding(repository, problem=f"the registry answers strangely: {error}")
    for line in finding.lines():
        report(line)
    return finding


def _add(walk: Reconcile, finding: Finding) -> None:
    """Add what was found to the walk's counts."""
    counts = Counter(walk.counts)
    counts.update(finding.counts())
    walk.counts, walk.done = dict(counts), min(walk.total, walk.done + 1)
    walk.save(update_fields=["counts", "done"])


# --- 3. removing ----------------------------------------------------------------------------------------------------


def _decide(walk: Reconcile, share: int, report: Report) -> None:
    """Remove what is proven to be gone, or ask first."""
    known, missing = walk.counts.get("known", 0), walk.counts.get("missing", 0)
    if missing > _FEW and missing * 100 > known * share:
        walk.state = Reconcile.State.ASKING
        walk.problem = (
            f"{missing} of {known} tags are not in the registry any more, more than {share} %. Nothing was removed."
        )
        walk.save(update_fields=["state", "problem"])
        report(walk.problem)
        return
    removed = _remove_marked(walk, report)
    walk.counts = {**walk.counts, "removed": removed}
    walk.state, walk.problem, walk.ended_at = Reconcile.State.DONE, "", timezone.now()
    walk.save(update_fields=["counts", "state", "problem", "ended_at"])
    _forget_old(walk)


def _remove_marked(walk: Reconcile, report: Report) -> int:
    """Look once more at each marked tag and remove it when it is still gone; how many were removed."""
    removed = 0
    marked = Tag.objects.filter(missing_at__isnull=False, missing_at__gte=walk.started_at, state=Tag.State.ACTIVE)
    for image in Image.objects.filter(pk__in=marked.values("image")).select_related("namespace").order_by("pk"):
        reader, gone = Reader(image.repository), []
        for name in list(marked.filter(image=image).order_by("name").values_list("name", flat=True)):
            if reader.look(name) is Outcome.REMOVED:
                gone.append(name)
                report(f"{image.repository}:{name}: removed, the registry does not have it")
        reader.settle()
        if gone:
            removed += len(gone)
            record("index.mended", image.repository, actor="reconcile", removed=gone[:100], removed_in_all=len(gone))
    return removed


def _forget_old(walk: Reconcile) -> None:
    """Keep the last hundred walks."""
    kept = Reconcile.objects.order_by("-pk").values_list("pk", flat=True)[:100]
    Reconcile.objects.exclude(pk__in=list(kept)).filter(state=Reconcile.State.DONE).delete()
