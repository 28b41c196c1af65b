"""Background jobs of the index: sync hints, sync an image, reconcile, count pulls."""

from __future__ import annotations

import logging
import time

from django.db import DatabaseError
from procrastinate.contrib.django import app

from console.jobs.queue import INDEX_QUEUE, KeepTrying, defer_again, defer_once, repository_lock
from console.registry.contents import NotThereYet
from console.registry.index import activity, hints, reservations
from console.registry.index import reconcile as reconciles
from console.registry.index import sync as services
from console.registry.index.hints import Notice
from console.registry.index.models import Hint
from console.repositories import totals
from console.repositories.fairness import priority_in
from registry_client import RegistryError, RegistryUnavailable

log = logging.getLogger(__name__)

ALL_HINTS = "indexing.follow_all_hints"
# Seconds of one repository's turn, before other repositories have theirs.
_TURN_SECONDS = 2.0
# Retries of a reconcile within its hour.
_MOST_ATTEMPTS = 10


# Jobs with a queueing lock do not use Procrastinate's retry, which fails while another with the same key is waiting
# (console.jobs.queue.defer_again).
@app.task(name="indexing.follow_all_hints", queue=INDEX_QUEUE)
def sync_all_hints(attempt: int = 0) -> None:
    """Sync the tags of all hints in batches; those that need more work are left to ``sync_hints``."""
    try:
        hints.sync_all(queue_repository)
    except Exception as error:
        log.warning("sync of hints failed, retrying: %s", error, exc_info=not isinstance(error, RegistryError))
        defer_again(sync_all_hints, ALL_HINTS, lock=ALL_HINTS, attempt=attempt)


def queue_sync() -> bool:
    """Queue a sync of all hints unless one is queued already; returns whether it was queued."""
    return defer_once(sync_all_hints, ALL_HINTS, lock=ALL_HINTS)


def queue_repository(repository: str) -> None:
    """Queue a sync of one repository's hints unless one is queued already."""
    defer_once(
        sync_hints,
        f"hints {repository}",
        lock=repository_lock(repository),
        priority=priority_in(INDEX_QUEUE, repository),
        repository=repository,
    )


@app.task(name="indexing.follow_hints", queue=INDEX_QUEUE)
def sync_hints(repository: str, attempt: int = 0) -> None:
    """Sync the tags of one repository's hints, of all kinds.

    After a turn of ``_TURN_SECONDS`` the job is queued again, so that others have theirs.
    """
    end = time.monotonic() + _TURN_SECONDS
    try:
        hints.sync_repository(repository, lambda: time.monotonic() > end)
        if time.monotonic() > end and Hint.objects.filter(repository=repository).exists():
            queue_repository(repository)
    except Exception as error:
        level = logging.INFO if isinstance(error, NotThereYet) else logging.WARNING
        unexpected = not isinstance(error, RegistryError)
        log.log(level, "sync of %s failed, retrying: %s", repository, error, exc_info=unexpected)
        lock = repository_lock(repository)
        defer_again(sync_hints, f"hints {repository}", lock=lock, attempt=attempt, repository=repository)


@app.periodic(cron="* * * * * */30")
@app.task(name="indexing.sync_left_hints", queue=INDEX_QUEUE, queueing_lock="indexing.sync_left_hints")
def sync_left_hints(timestamp: int = 0) -> None:
    """Queue the sync of hints that web processes have left: killed ones, and pushes beside a deletion."""
    for repository in sorted(reservations.left()):
        queue_repository(repository)


@app.task(name="indexing.reread_image", queue=INDEX_QUEUE, retry=KeepTrying())
def reread_image(repository: str) -> None:
    """Sync all tags of an image, after its deletion was given up."""
    services.reread_image(repository)


@app.task(name="indexing.reread_tag", queue=INDEX_QUEUE, retry=KeepTrying())
def reread_tag(repository: str, tag: str) -> None:
    """Sync one tag, because a user asked for it."""
    hints.remember([Notice(repository, tag)])
    queue_sync()


@app.periodic(cron="* * * * * */2")
@app.task(name="indexing.add_up", queue=INDEX_QUEUE, queueing_lock="indexing.add_up", lock="indexing.add_up")
def add_up(timestamp: int = 0) -> None:
    """Add pushes and pulls to the counts, every two seconds, in one batch."""
    activity.add_up()


@app.periodic(cron="17 * * * *")
@app.task(
    name="indexing.reconcile",
    queue=INDEX_QUEUE,
    queueing_lock="indexing.reconcile",
    lock="indexing.reconcile",
)
def reconcile(timestamp: int = 0, attempt: int = 0) -> None:
    """Reconcile the index with the registry, every hour.

    The registry queues notifications only in memory: those that were lost when it died are found here. A removal of
    too many tags needs a decision, which is left to the command.
    """
    try:
        # Repositories without owner are there every hour, so only their number is logged.
        run = reconciles.resume(reconciles.begin(), report_unowned=log.debug)
    except reconciles.AlreadyRunning:
        log.info("reconcile: another process is reconciling already")
        return
    except Exception as error:
        log.warning("reconcile: interrupted, resuming later: %s", error, exc_info=not isinstance(error, RegistryError))
        if attempt >= _MOST_ATTEMPTS and not isinstance(error, (RegistryUnavailable, DatabaseError)):
            return  # no outage: the next hour's run retries
        defer_again(reconcile, "indexing.reconcile", lock="indexing.reconcile", attempt=attempt, longest=60)
        return
    if corrected := totals.correct_image_counts():
        log.warning("reconcile: the number of images was wrong for %d namespaces, and is corrected", corrected)
    log.log(logging.DEBUG if reconciles.found_in_order(run) else logging.INFO, "reconcile: %s", reconciles.summary(run))
    if run.state == run.State.ASKING:
        log.warning("reconcile: %s Check the registry's storage, then run “manage.py reconcile”.", run.problem)


def reconcile_soon() -> bool:
    """Queue a reconcile of everything unless one is queued already; returns whether it was queued.

    Also queues the sync of hints, whose job may have been lost in an outage of the database.
    """
    for repository in Hint.objects.order_by("repository").values_list("repository", flat=True).distinct():
        defer_once(sync_hints, f"hints {repository}", lock=repository_lock(repository), repository=repository)
    return defer_once(reconcile, "indexing.reconcile", lock="indexing.reconcile")
