"""Background jobs of the index: sync hints, reread, reconcile, add up pulls."""

from __future__ import annotations

import logging
import time

from django.db import DatabaseError
from procrastinate.contrib.django import app

from console.jobs.queue import INDEX_QUEUE, KeepTrying, defer_again, defer_once, repository_lock
from console.registry.contents import NotThereYet
from console.registry.index import activity, hints
from console.registry.index import reconcile as walks
from console.registry.index import sync as services
from console.registry.index.hints import Notice
from console.registry.index.models import Hint
from console.repositories.fairness import priority_in
from registry_client import RegistryError, RegistryUnavailable

log = logging.getLogger(__name__)

ALL_HINTS = "indexing.follow_all_hints"
# Seconds that tags of one repository are read before other repositories have their turn.
_TURN_SECONDS = 2.0
# So often a walk is taken up again within its hour.
_MOST_ATTEMPTS = 10


# The jobs that are queued under a key have no retry of Procrastinate's: one that fails while the same is waiting could
# not be retried, and would keep its lock for ever (console.jobs.queue.defer_again).
@app.task(name="indexing.follow_all_hints", queue=INDEX_QUEUE)
def sync_all_hints(attempt: int = 0) -> None:
    """Look at every tag that a notification pointed at; what takes more than a look is left to ``sync_hints``."""
    try:
        hints.sync_all(_follow_alone)
    except Exception as error:
        log.warning("hints are looked at again: %s", error, exc_info=not isinstance(error, RegistryError))
        defer_again(sync_all_hints, ALL_HINTS, lock=ALL_HINTS, attempt=attempt)


def queue_sync() -> bool:
    """Queue a look at all hints unless one is queued already; whether it was queued."""
    return defer_once(sync_all_hints, ALL_HINTS, lock=ALL_HINTS)


def _follow_alone(repository: str) -> None:
    defer_once(
        sync_hints,
        f"hints {repository}",
        lock=repository_lock(repository),
        priority=priority_in(INDEX_QUEUE, repository),
        repository=repository,
    )


@app.task(name="indexing.follow_hints", queue=INDEX_QUEUE)
def sync_hints(repository: str, attempt: int = 0) -> None:
    """Look at every tag of one repository that a notification pointed at, with whatever it takes.

    Others come first after a turn of ``_TURN_SECONDS``.
    """
    end = time.monotonic() + _TURN_SECONDS
    try:
        hints.sync_repository(repository, lambda: time.monotonic() > end)
        if time.monotonic() > end and Hint.objects.filter(repository=repository).exists():
            _follow_alone(repository)
    except Exception as error:
        level = logging.INFO if isinstance(error, NotThereYet) else logging.WARNING
        unheard_of = not isinstance(error, RegistryError)
        log.log(level, "%s is looked at again: %s", repository, error, exc_info=unheard_of)
        lock = repository_lock(repository)
        defer_again(sync_hints, f"hints {repository}", lock=lock, attempt=attempt, repository=repository)


@app.task(name="indexing.reread_image", queue=INDEX_QUEUE, retry=KeepTrying())
def reread_image(repository: str) -> None:
    """Bring all tags of an image in line with the registry, after a deletion of it was given up."""
    services.reread_image(repository)


@app.task(name="indexing.reread_tag", queue=INDEX_QUEUE, retry=KeepTrying())
def reread_tag(repository: str, tag: str) -> None:
    """Look at one tag again, because somebody asked for it."""
    hints.remember([Notice(repository, tag)])
    queue_sync()


@app.periodic(cron="* * * * * */2")
@app.task(name="indexing.add_up", queue=INDEX_QUEUE, queueing_lock="indexing.add_up", lock="indexing.add_up")
def add_up(timestamp: int = 0) -> None:
    """Add pushes and pulls to the totals, every two seconds: all that came meanwhile at once."""
    activity.add_up()


@app.periodic(cron="17 * * * *")
@app.task(
    name="indexing.reconcile",
    queue=INDEX_QUEUE,
    queueing_lock="indexing.reconcile",
    lock="indexing.reconcile",
)
def reconcile(timestamp: int = 0, attempt: int = 0) -> None:
    """Walk over the registry and mend the index.

    Notifications live in the registry's memory only: what was queued when it died is found here. Nobody can be asked
    here: what is too much to remove is left to the command.
    """
    try:
        # What is nobody's is there every hour: its number says enough.
        walk = walks.walk_on(walks.begin(), left_out=log.debug)
    except walks.AlreadyWalking:
        log.info("reconcile: another process walks over the registry already")
        return
    except Exception as error:
        log.warning("reconcile: it goes on later: %s", error, exc_info=not isinstance(error, RegistryError))
        if attempt >= _MOST_ATTEMPTS and not isinstance(error, (RegistryUnavailable, DatabaseError)):
            return  # no outage: the next hour's walk tries it again
        defer_again(reconcile, "indexing.reconcile", lock="indexing.reconcile", attempt=attempt, longest=60)
        return
    log.log(logging.DEBUG if walks.found_in_order(walk) else logging.INFO, "reconcile: %s", walks.summary(walk))
    if walk.state == walk.State.ASKING:
        log.warning("reconcile: %s Check the registry's storage, then run “manage.py reconcile”.", walk.problem)


def reconcile_soon() -> bool:
    """Queue a walk over everything unless one is queued already; whether it was queued.

    Hints are followed too: the job that should have may have failed together with the database that it is queued in.
    """
    for repository in Hint.objects.order_by("repository").values_list("repository", flat=True).distinct():
        defer_once(sync_hints, f"hints {repository}", lock=repository_lock(repository), repository=repository)
    return defer_once(reconcile, "indexing.reconcile", lock="indexing.reconcile")
