"""Store notifications as hints (one row per repository and tag), and sync what they name."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass

from django.db import connection

from console.jobs.outages import is_database_outage, is_of_one_tag
from console.jobs.queue import busy_repositories
from console.registry.connection import quick_registry, registry
from console.registry.index.models import Hint
from console.registry.index.sync import UNREADABLE, TagSync
from console.registry.index.sync_batch import sync_pushed
from console.repositories import failures
from console.repositories.failures import Kind
from console.repositories.models import WorkFailure
from console.repositories.totals import refresh_totals, refresh_totals_of
from registry_client import RegistryError, RegistryUnavailable, is_digest

log = logging.getLogger(__name__)

_BATCH = 100
# Batch size within one repository. A slow tag delays only its batch.
_AT_ONCE = 20
# Batch size over many repositories, for small manifests and if the registry answers quickly.
_TOGETHER = 200
_SMALL_BYTES = 16 * 1024
_GATHERING_SECONDS = 0.1


@dataclass(frozen=True)
class Notice:
    """A notification about a tag: who pushed which digest when, or only that it changed."""

    repository: str
    tag: str
    pushed_at: datetime.datetime | None = None
    pushed_by: str = ""
    digest: str = ""


# Of two pushes, time, user name and digest of the later one are stored, in whatever order they arrive.
_REMEMBER = """
INSERT INTO indexing_hint AS known (repository, tag, pushed_at, pushed_by, digest, version, alone)
SELECT repository, tag, pushed_at, pushed_by, digest, 1, false
FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::text[])
    AS notice (repository, tag, pushed_at, pushed_by, digest)
ON CONFLICT (repository, tag) DO UPDATE SET
    version = known.version + 1,
    pushed_by = CASE
        WHEN excluded.pushed_at >= coalesce(known.pushed_at, '-infinity') THEN excluded.pushed_by
        ELSE known.pushed_by
    END,
    digest = CASE
        WHEN excluded.pushed_at >= coalesce(known.pushed_at, '-infinity') THEN excluded.digest
        ELSE known.digest
    END,
    pushed_at = greatest(known.pushed_at, excluded.pushed_at),
    alone = false
"""


def remember(notices: Iterable[Notice]) -> None:
    """Upsert hints with one statement."""
    newest: dict[tuple[str, str], Notice] = {}
    for notice in notices:
        key = (notice.repository, notice.tag)
        other = newest.get(key)
        if other is None or _moment(notice) >= _moment(other):
            newest[key] = notice
    # In a fixed order, against deadlocks with concurrent requests.
    rows = [newest[key] for key in sorted(newest)]
    if rows:
        columns = zip(*(astuple(one) for one in rows), strict=True)
        with connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]
            cursor.execute(_REMEMBER, [list(column) for column in columns])


def _moment(notice: Notice) -> datetime.datetime:
    return notice.pushed_at or datetime.datetime.min.replace(tzinfo=datetime.UTC)


# Round robin: the first of each namespace, then the second of each, so thousands of pushes do not block other accounts.
_NEXT = """
SELECT * FROM (
    SELECT *, row_number() OVER (PARTITION BY split_part(repository, '/', 1) ORDER BY id) AS place
    FROM indexing_hint WHERE NOT alone
) AS waiting ORDER BY place, id LIMIT %s
"""


def sync_all(hand_over: Callable[[str], object]) -> int:
    """Sync the tags of all hints, in batches over many repositories; returns how many were synced.

    Tags that need more work are left to a job of their repository (``sync_repository``), so that they do not block
    others: indexes and artifacts, errors of the registry, and repositories that already have a job.

    :param hand_over: queues the job of a repository; called before its hints are left to it.
    :raises registry_client.RegistryError: when the registry is down, or rejects the console's token.
    """
    synced = 0
    while hints := list(Hint.objects.raw(_NEXT, [_TOGETHER])):
        busy = busy_repositories({hint.repository for hint in hints})
        free = [hint for hint in hints if hint.repository not in busy and not is_digest(hint.tag)]
        done = _sync_together(free)
        synced += len(done)
        _leave([hint for hint in hints if hint not in done], hand_over)
        if 1 < len(hints) < _TOGETHER:
            # Events arrive fast: waiting for a larger batch saves work, which leaves more CPU for the pushes.
            time.sleep(_GATHERING_SECONDS)
    return synced


def _sync_together(hints: list[Hint]) -> set[Hint]:
    """Sync these hints in one batch; deletes and returns those that were synced."""
    if not hints:
        return set()
    try:
        result = sync_pushed(hints, quick_registry(), _SMALL_BYTES)
    except Exception as error:
        # Raises if the registry is down, rather than a single tag unreadable.
        registry().ping()
        repositories = {hint.repository for hint in hints}
        if len(repositories) == 1:
            log.info("%s: its tags are left to a separate job: %s", *repositories, error)
            return set()
        # One batch for each repository, so that only the failing one is left out.
        return set().union(
            *(_sync_together([hint for hint in hints if hint.repository == one]) for one in sorted(repositories))
        )
    done = {hint for hint in hints if (hint.repository, hint.tag) in result.done}
    refresh_totals_of(result.changed)
    for image in result.same:
        refresh_totals(image, changed=False)
    _forget_failures(done)
    # Last: a process that is killed before repeats the batch, which is idempotent.
    _forget(list(done))
    return done


def _leave(hints: list[Hint], hand_over: Callable[[str], object]) -> None:
    """Leave the hints to jobs of their repositories, except those that were updated meanwhile."""
    if not hints:
        return
    for repository in sorted({hint.repository for hint in hints}):
        hand_over(repository)
    with connection.cursor() as cursor:
        cursor.execute(_LEAVE, _versions(hints))


def sync_repository(repository: str, is_over: Callable[[], bool] = lambda: False) -> int:
    """Sync every tag of ``repository`` that has a hint; returns how many were synced.

    A tag with an invalid answer is left to the next reconcile; a tag that the registry cannot read now is retried some
    times. Neither blocks the others. Tags that are given up are recorded as failures.

    :param is_over: whether the turn is over; the remaining tags keep their hints.
    :raises registry_client.RegistryError: when the registry is down, rejects the console's token, or could not read a
        tag; the hints of tags that were not synced are not deleted.
    """
    synced = 0
    failed: dict[int, Exception] = {}
    waiting = Hint.objects.filter(repository=repository).order_by("pk")
    while hints := list(waiting.exclude(pk__in=failed)[:_BATCH]):
        # Tags first: deleting a digest deletes its tags, and an index is pushed after its children.
        hints.sort(key=lambda hint: is_digest(hint.tag))
        tag_sync = TagSync(repository)
        processed: list[Hint] = []
        succeeded: list[Hint] = []
        try:
            done = _sync_many(tag_sync, hints)
            processed += [hint for hint in hints if hint.tag in done]
            succeeded += processed
            for hint in hints:
                if hint.tag in done:
                    continue
                if processed and is_over():
                    break
                try:
                    tag_sync.sync_tag(
                        hint.tag, pushed_at=hint.pushed_at, pushed_by=hint.pushed_by, notified=True, digest=hint.digest
                    )
                except Exception as error:
                    if is_database_outage(error):
                        raise
                    # Raises if the registry is down, rather than this tag unreadable.
                    registry().ping()
                    if not _count_failure(hint, error):
                        failed[hint.pk] = error
                        continue
                    if isinstance(error, RegistryError) and is_of_one_tag(error) and _sync_leniently(hint):
                        succeeded.append(hint)
                else:
                    succeeded.append(hint)
                processed.append(hint)
        finally:
            # Also after an exception: what is done so far is not repeated.
            if processed:
                _forget_failures(succeeded)
                tag_sync.refresh_totals()
                _forget(processed)
                synced += len(processed)
        if is_over():
            break
    if failed:
        raise next(iter(failed.values()))
    return synced


def _count_failure(hint: Hint, error: Exception) -> bool:
    """Count a tag's failed sync; returns whether it is given up now. The next reconcile tries it again."""
    if isinstance(error, RegistryUnavailable) and not is_of_one_tag(error):
        return False
    sentence = UNREADABLE if isinstance(error, RegistryError) else failures.BROKEN
    if isinstance(error, RegistryError) and not isinstance(error, RegistryUnavailable):
        failures.give_up(Kind.INDEX, hint.repository, hint.tag, sentence=sentence, detail=str(error))
        return True
    if not isinstance(error, RegistryError):
        log.error("%s:%s cannot be indexed", hint.repository, hint.tag, exc_info=error)
    return failures.record_failure(Kind.INDEX, hint.repository, hint.tag, sentence=sentence, error=error)


def _sync_leniently(hint: Hint) -> bool:
    """Sync a tag without the parts of its image that the registry cannot read; returns whether that succeeded."""
    tag_sync = TagSync(hint.repository, lenient=True)
    try:
        tag_sync.sync_tag(hint.tag, pushed_at=hint.pushed_at, pushed_by=hint.pushed_by)
        tag_sync.refresh_totals()
    except Exception as error:
        if is_database_outage(error):
            raise
        log.warning("%s:%s cannot be indexed: %s", hint.repository, hint.tag, error)
        return False
    return True


def _forget_failures(hints: Iterable[Hint]) -> None:
    tags: dict[str, list[str]] = {}
    for hint in hints:
        tags.setdefault(hint.repository, []).append(hint.tag)
    if tags and WorkFailure.objects.filter(kind=Kind.INDEX, repository__in=tags).exists():
        for repository, names in tags.items():
            failures.forget(Kind.INDEX, repository, names)


def _sync_many(tag_sync: TagSync, hints: list[Hint]) -> set[str]:
    """Sync tags in batches; returns the synced ones. After an error the rest must be synced one by one."""
    done: set[str] = set()
    hints = [hint for hint in hints if not is_digest(hint.tag)]
    for start in range(0, len(hints), _AT_ONCE):
        try:
            done |= tag_sync.sync_pushed(hints[start : start + _AT_ONCE])
        except Exception as error:
            log.info("%s: tags are synced one by one: %s", tag_sync.repository, error)
            break
    return done


# The version is the optimistic lock: hints that were updated meanwhile are not deleted.
_FORGET = """
DELETE FROM indexing_hint USING unnest(%s::bigint[], %s::int[]) AS these (id, version)
WHERE indexing_hint.id = these.id AND indexing_hint.version = these.version
"""
_LEAVE = """
UPDATE indexing_hint SET alone = true FROM unnest(%s::bigint[], %s::int[]) AS these (id, version)
WHERE indexing_hint.id = these.id AND indexing_hint.version = these.version
"""


def _forget(hints: list[Hint]) -> None:
    """Delete the hints, except those that were updated meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, _versions(hints))


def _versions(hints: list[Hint]) -> list[list[int]]:
    return [[hint.pk for hint in hints], [hint.version for hint in hints]]
