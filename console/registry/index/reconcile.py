"""Reconcile the index with the registry: add what is missing, remove what is proven to be gone.

1. **Collecting.** The names of all repositories in the registry and the index are stored: a fixed list, from which an
   interrupted run resumes.
2. **Comparing.** Each repository's tags are compared with the index. Tags that are missing or different in the index
   are synced. Tags that are proven to be gone from the registry are marked, and not removed yet.
3. **Removing.** Marked tags are checked again and removed, unless they are more than a set share of all tags: that is
   more likely a registry that lost its disk than many deletions. Then the run asks for a decision.

An error, a rejection, a redirect or an unknown repository never removes anything. A repository that cannot be read is
reported and does not block the others; many in a row, or a registry that does not answer, stop the run, which resumes
there the next time.

A run over everything takes an advisory lock (``exclusive``); runs over some repositories do not need it.
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
# Large, because Distribution reads its whole directory tree for each page.
_CATALOG_PAGE = 100_000
# The share is not checked below so many removals: of three tags one is a third.
_FEW = 10
DEFAULT_SHARE = 10
# If so many repositories in a row cannot be read, the registry is down.
_MOST_UNREADABLE = 20
# Interval of checkpoints; a killed run repeats at most so much.
_SAVED_EVERY_SECONDS = 1.0
_LONGEST_NAME = 255
# The key of the database's advisory lock.
_LOCK = 0x7265636F6E63696C

Report = Callable[[str], None]


class AlreadyRunning(Exception):
    """Another process is reconciling everything."""


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """Hold the advisory lock of a run over everything. It is released when the process or its connection dies.

    :raises AlreadyRunning: when another process holds it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            raise AlreadyRunning
    try:
        yield
    finally:
        with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def begin(repositories: Iterable[str] = (), *, adopt_for: str = "") -> Reconcile:
    """Start a run, or take up the interrupted run over everything.

    :param repositories: the repositories to compare; everything when empty.
    :param adopt_for: the Account ID that gets namespaces without owner; when empty they are only reported.
    :raises AlreadyRunning: when another process is reconciling everything.
    """
    # A name that is too long is cut, and then reported as unknown.
    names = sorted({name[:_LONGEST_NAME] for name in repositories})
    if names:
        with transaction.atomic():
            run = Reconcile.objects.create(
                whole=False, adopt_for=adopt_for, total=len(names), state=Reconcile.State.RUNNING
            )
            _store_items(run, names)
        return run
    with exclusive():
        run = _unfinished().first() or Reconcile.objects.create(adopt_for=adopt_for)
        if adopt_for and run.adopt_for != adopt_for:
            # Repositories that were skipped for lack of an owner must be compared again.
            run.adopt_for, run.state = adopt_for, Reconcile.State.COLLECTING
            run.save(update_fields=["adopt_for", "state"])
        return run


def _unfinished() -> QuerySet[Reconcile]:
    return Reconcile.objects.filter(whole=True, state__in=[Reconcile.State.COLLECTING, Reconcile.State.RUNNING])


def resume(
    run: Reconcile,
    *,
    share: int = DEFAULT_SHARE,
    agreed: int = 0,
    report: Report = log.info,
    report_unowned: Report | None = None,
    on_progress: Callable[[Reconcile], None] = lambda run: None,
) -> Reconcile:
    """Start or resume a run, until it is done or asks for a decision.

    :param share: how many per cent of all tags may be removed without asking.
    :param agreed: how many tags may be removed whatever their share, because an operator has agreed.
    :param report: called with one line for each change and each problem.
    :param report_unowned: called with one line for each repository without owner; ``report`` by default.
    :param on_progress: called after each repository.
    :raises registry_client.RegistryError: when the registry does not answer; call again to resume.
    :raises AlreadyRunning: when another process is reconciling everything, as this run does.
    """
    with exclusive() if run.whole else contextlib.nullcontext():
        # Another process may have continued it meanwhile.
        run.refresh_from_db()
        if run.state == Reconcile.State.COLLECTING:
            _collect(run, report)
        if run.state == Reconcile.State.RUNNING:
            on_progress(run)
            _compare_all(run, report, report_unowned or report, on_progress)
            _decide(run, share, agreed, report)
        elif run.state == Reconcile.State.ASKING and (agreed or share >= 100):
            _decide(run, share, agreed, report)
    return run


# --- 1. collecting --------------------------------------------------------------------------------------------------


def _collect(run: Reconcile, report: Report) -> None:
    try:
        unusable = _collect_from(run, _CATALOG_PAGE)
    except RegistryError as error:
        if error.status != 400:
            raise
        unusable = _collect_from(run, _BATCH)  # the registry does not allow such large pages
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO indexing_reconcileitem (reconcile_id, repository) "
            "SELECT %s, full_name FROM images_image ON CONFLICT DO NOTHING",
            [run.pk],
        )
    for name in unusable[:_FEW]:
        report(f"{name[:300]!r}: this is not the name of a repository")
    run.counts = {"problems": len(unusable)}
    run.total, run.done, run.state = run.items.count(), 0, Reconcile.State.RUNNING
    run.save(update_fields=["counts", "total", "done", "state"])


def _collect_from(run: Reconcile, page_size: int) -> list[str]:
    """Store the registry's repositories; returns the listed names that are invalid."""
    run.items.all().delete()
    unusable: list[str] = []
    for names in _batches(registry().catalog(page_size)):
        usable = [name for name in names if _is_repository(name)]
        if len(usable) < len(names):
            unusable += set(names).difference(usable)
        _store_items(run, usable)
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


def _store_items(run: Reconcile, names: Iterable[str]) -> None:
    ReconcileItem.objects.bulk_create(
        [ReconcileItem(reconcile=run, repository=name) for name in names], ignore_conflicts=True
    )


# --- 2. comparing ---------------------------------------------------------------------------------------------------


def _compare_all(
    run: Reconcile, report: Report, report_unowned: Report, on_progress: Callable[[Reconcile], None]
) -> None:
    """Compare every stored repository.

    In a run over everything, finished items are deleted, so that it resumes after them; in a run over some
    repositories all items are needed to the end, because only tags of these may be removed.
    """
    people = Account.objects.filter(is_active=True, is_service=False)
    owner = people.filter(account_id=run.adopt_for).first() if run.adopt_for else None
    last = unreadable = 0
    saved_at = monotonic()
    try:
        for item in _items(run):
            result, failure = _compare_one(run, item.repository, owner)
            for line in result.lines():
                (report_unowned if result.unowned else report)(line)
            run.counts = dict(Counter(run.counts) + result.counts())
            run.done = min(run.total, run.done + 1)
            last = item.pk
            on_progress(run)
            unreadable = unreadable + 1 if failure else 0
            if failure and unreadable >= _MOST_UNREADABLE:
                raise failure
            if monotonic() - saved_at >= _SAVED_EVERY_SECONDS:
                _save(run, last)
                saved_at = monotonic()
    finally:
        _save(run, last)


def _items(run: Reconcile) -> Iterator[ReconcileItem]:
    last = 0
    while batch := list(run.items.filter(pk__gt=last).order_by("pk")[:_BATCH]):
        yield from batch
        last = batch[-1].pk


def _compare_one(run: Reconcile, repository: str, owner: Account | None) -> tuple[ReconcileResult, Exception | None]:
    """Compare one repository; an error that concerns only this one does not stop the run."""
    try:
        result = reconcile_one(repository, adopt_for=owner)
    except RegistryError as error:
        raise_if_down(error)
        return ReconcileResult(repository, problem=f"the registry answers with an error: {error}"), error
    except Exception as error:
        if is_database_outage(error):
            raise
        # An error in one repository must not block all later ones for ever.
        log.exception("%s cannot be compared with the index", repository)
        return ReconcileResult(
            repository, problem=f"it could not be compared with the index: {type(error).__name__}"
        ), error
    if result.unknown and not run.whole:
        # Only for a repository given by name: the catalogue also lists repositories of unfinished uploads.
        result.problem = "neither the registry nor the index knows it"
    return result, None


def _save(run: Reconcile, last: int) -> None:
    """Save a checkpoint of the run: counts, and for a run over everything delete the items up to ``last``."""
    with transaction.atomic():
        run.save(update_fields=["counts", "done"])
        if run.whole:
            run.items.filter(pk__lte=last).delete()


# --- 3. removing ----------------------------------------------------------------------------------------------------


def _marked(run: Reconcile) -> QuerySet[Tag]:
    """The marked tags that this run may remove."""
    marked = Tag.objects.filter(missing_at__isnull=False, state=Tag.State.ACTIVE, image__state=Image.State.ACTIVE)
    return marked if run.whole else marked.filter(image__full_name__in=run.items.values("repository"))


def _decide(run: Reconcile, share: int, agreed: int, report: Report) -> None:
    """Remove the tags that are proven to be gone, or ask for a decision if there are too many."""
    known, missing = run.counts.get("known", 0), _marked(run).count()
    run.counts = {**run.counts, "missing": missing}
    if share < 100 and missing > max(_FEW, agreed) and missing * 100 > known * share:
        run.state = Reconcile.State.ASKING
        run.problem = (
            f"{missing:,} of {known:,} tags are no longer in the registry, more than {share} %. Nothing was removed."
        )
        run.save(update_fields=["counts", "state", "problem"])
        report(run.problem)
    else:
        removed = _remove_marked(run, report)
        run.counts = {**run.counts, "removed": removed}
        run.state, run.problem, run.ended_at = Reconcile.State.DONE, "", timezone.now()
        run.save(update_fields=["counts", "state", "problem", "ended_at"])
        run.items.all().delete()
    _forget_old()


def _remove_marked(run: Reconcile, report: Report) -> int:
    """Sync each marked tag again, which removes it if it is still gone; returns the number of removed tags."""
    removed = 0
    marked = _marked(run)
    images = Image.objects.filter(pk__in=marked.values("image")).select_related("namespace").order_by("pk")
    for image in images.iterator(_BATCH):
        tag_sync, gone, forgotten = TagSync(image.repository), [], 0
        try:
            for name in list(marked.filter(image=image).order_by("name").values_list("name", flat=True)):
                if tag_sync.sync_tag(name) is Outcome.REMOVED:
                    gone.append(name)
                    report(f"{image.repository}:{name}: removed, no longer in the registry")
            forgotten = forget_gone_manifests(image) if gone else 0
        except RegistryError as error:
            raise_if_down(error)
            report(f"{image.repository}: the registry answers with an error: {error}")
            run.counts["problems"] = run.counts.get("problems", 0) + 1
        finally:
            tag_sync.refresh_totals()
            if gone:
                record(
                    "index.mended",
                    image.repository,
                    actor="reconcile",
                    removed=gone[:100],
                    removed_in_all=len(gone),
                    forgotten=forgotten,
                )
        run.counts["forgotten"] = run.counts.get("forgotten", 0) + forgotten
        removed += len(gone)
    return removed


_COUNTED = {
    "added": "tags added",
    "moved": "tags moved",
    "removed": "removed",
    "put_back": "restored in the registry",
    "forgotten": "manifests removed",
    "totals": "totals corrected",
    "adopted": "namespaces adopted",
    "nobodys": "repositories without owner",
    "problems": "with a problem",
}


def summary(run: Reconcile) -> str:
    """The counts of a run as one sentence, without zeros."""
    parts = [f"{run.counts[name]:,} {what}" for name, what in _COUNTED.items() if run.counts.get(name)]
    if not parts and run.state == Reconcile.State.DONE:
        parts = ["everything in order"]
    return ", ".join([f"{run.done:,} repositories compared", *parts]) + "."


def found_in_order(run: Reconcile) -> bool:
    """Whether the run found no difference and no problem."""
    return not any(run.counts.get(name) for name in _COUNTED)


def _forget_old() -> None:
    """Delete all runs except the last hundred and an unfinished one."""
    recent = Reconcile.objects.order_by("-pk").values_list("pk", flat=True)[:100]
    Reconcile.objects.exclude(pk__in=list(recent)).exclude(pk__in=_unfinished()).delete()
