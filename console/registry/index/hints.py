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
# Of these, how many are looked at with a few statements. One that is slow holds up no more than these.
_AT_ONCE = 20
# Of many repositories, as many as this, if the registry answers at once and they are no larger than most are.
_TOGETHER = 200
_SMALL_BYTES = 16 * 1024
_GATHERING_SECONDS = 0.1


@dataclass(frozen=True)
class Notice:
    """What one notification says of a tag: who pushed what when, or nothing but that it changed."""

    repository: str
    tag: str
    pushed_at: datetime.datetime | None = None
    pushed_by: str = ""
    digest: str = ""


# Of two pushes the later one's time, name and digest stay, in whatever order they are told.
_REMEMBER = """
INSERT INTO indexing_hint AS known (repository, tag, pushed_at, pushed_by, digest, version, alone)
SELECT repository, tag, pushed_at, pushed_by, digest, 1, false
FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::text[])
    AS told (repository, tag, pushed_at, pushed_by, digest)
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
    """Store hints, with one statement (upsert)."""
    newest: dict[tuple[str, str], Notice] = {}
    for notice in notices:
        key = (notice.repository, notice.tag)
        other = newest.get(key)
        if other is None or _moment(notice) >= _moment(other):
            newest[key] = notice
    # In a settled order: two envelopes taken in at once must not wait for each other.
    rows = [newest[key] for key in sorted(newest)]
    if rows:
        columns = zip(*(astuple(one) for one in rows), strict=True)
        with connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]
            cursor.execute(_REMEMBER, [list(column) for column in columns])


def _moment(notice: Notice) -> datetime.datetime:
    return notice.pushed_at or datetime.datetime.min.replace(tzinfo=datetime.UTC)


# Round robin: the first of each namespace, then the second of each. Thousands of pushed tags keep nobody else waiting.
_NEXT = """
SELECT * FROM (
    SELECT *, row_number() OVER (PARTITION BY split_part(repository, '/', 1) ORDER BY id) AS place
    FROM indexing_hint WHERE NOT alone
) AS waiting ORDER BY place, id LIMIT %s
"""


def sync_all(hand_over: Callable[[str], object]) -> int:
    """Sync the tags of all hints, in batches over many repositories; how many were synced.

    What takes more than that (``sync_repository``) waits for a job of its repository, so that it blocks no other: what
    is out of the ordinary, what the registry fails to answer, and what a job is at work on or waits for.

    :param hand_over: queues the job of a repository; called before its hints are left to it.
    :raises registry_client.RegistryError: when the registry is down or does not let us in.
    """
    followed = 0
    while hints := list(Hint.objects.raw(_NEXT, [_TOGETHER])):
        busy = busy_repositories({hint.repository for hint in hints})
        free = [hint for hint in hints if hint.repository not in busy and not is_digest(hint.tag)]
        done = _sync_together(free)
        followed += len(done)
        _leave([hint for hint in hints if hint not in done], hand_over)
        if 1 < len(hints) < _TOGETHER:
            # They come fast: many together take less work than one after another, and that leaves more for the pushes.
            time.sleep(_GATHERING_SECONDS)
    return followed


def _sync_together(hints: list[Hint]) -> set[Hint]:
    """Sync these in one batch and forget those that were synced, which are returned."""
    if not hints:
        return set()
    try:
        looked = sync_pushed(hints, quick_registry(), _SMALL_BYTES)
    except Exception as error:
        # Whether it is some tag, or the registry that cannot be read: the latter raises here.
        registry().ping()
        repositories = {hint.repository for hint in hints}
        if len(repositories) == 1:
            log.info("%s: its tags are left to a job of their own: %s", *repositories, error)
            return set()
        # Not all for the sake of one: the repositories each for themselves.
        return set().union(
            *(_sync_together([hint for hint in hints if hint.repository == one]) for one in sorted(repositories))
        )
    done = {hint for hint in hints if (hint.repository, hint.tag) in looked.done}
    refresh_totals_of(looked.changed)
    for image in looked.same:
        refresh_totals(image, changed=False)
    _forget_failures(done)
    # At the end: whoever is killed before does all of it once more.
    _forget(list(done))
    return done


def _leave(hints: list[Hint], hand_over: Callable[[str], object]) -> None:
    """Leave the hints to jobs of their repositories, but not those that something was added to meanwhile."""
    if not hints:
        return
    for repository in sorted({hint.repository for hint in hints}):
        hand_over(repository)
    with connection.cursor() as cursor:
        cursor.execute(_LEAVE, _versions(hints))


def sync_repository(repository: str, is_over: Callable[[], bool] = lambda: False) -> int:
    """Sync every tag of ``repository`` that there is a hint for; how many were synced.

    :param is_over: whether the turn is over: tags that were not read by then keep their hints.

    A tag that the registry answers strangely for is left to the next reconcile, and one that it cannot read just now
    stays hinted at for some tries; neither holds up the others. What is given up is recorded as a failure.

    :raises registry_client.RegistryError: when the registry is down or does not let us in, or could not read some tag;
        what was not looked at stays hinted at.
    """
    followed = 0
    failed: dict[int, Exception] = {}
    waiting = Hint.objects.filter(repository=repository).order_by("pk")
    while hints := list(waiting.exclude(pk__in=failed)[:_BATCH]):
        # Deleting a digest deletes its tags, and an index is pushed after what it names: tags come first.
        hints.sort(key=lambda hint: is_digest(hint.tag))
        reader = TagSync(repository)
        looked: list[Hint] = []
        fine: list[Hint] = []
        try:
            done = _sync_many(reader, hints)
            looked += [hint for hint in hints if hint.tag in done]
            fine += looked
            for hint in hints:
                if hint.tag in done:
                    continue
                if looked and is_over():
                    break
                try:
                    reader.sync_tag(
                        hint.tag, pushed_at=hint.pushed_at, pushed_by=hint.pushed_by, told=True, digest=hint.digest
                    )
                except Exception as error:
                    if is_database_outage(error):
                        raise
                    # Whether it is the tag or the registry that cannot be read: the latter raises here.
                    registry().ping()
                    if not _count_failure(hint, error):
                        failed[hint.pk] = error
                        continue
                    if isinstance(error, RegistryError) and is_of_one_tag(error) and _sync_leniently(hint):
                        fine.append(hint)
                else:
                    fine.append(hint)
                looked.append(hint)
        finally:
            # Also what was done before a failure is counted, and not done again.
            if looked:
                _forget_failures(fine)
                reader.refresh_totals()
                _forget(looked)
                followed += len(looked)
        if is_over():
            break
    if failed:
        raise next(iter(failed.values()))
    return followed


def _count_failure(hint: Hint, error: Exception) -> bool:
    """Count a tag that could not be indexed; whether it is given up now. A reconcile looks at every tag again."""
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
    """Index what can be read of an image of which the registry cannot read a part; whether that was possible."""
    reader = TagSync(hint.repository, lenient=True)
    try:
        reader.sync_tag(hint.tag, pushed_at=hint.pushed_at, pushed_by=hint.pushed_by)
        reader.refresh_totals()
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


def _sync_many(reader: TagSync, hints: list[Hint]) -> set[str]:
    """Sync tags in batches; which were synced. From an error on, the rest is left to be synced one by one."""
    done: set[str] = set()
    hints = [hint for hint in hints if not is_digest(hint.tag)]
    for start in range(0, len(hints), _AT_ONCE):
        try:
            done |= reader.sync_pushed(hints[start : start + _AT_ONCE])
        except Exception as error:
            log.info("%s: tags are looked at one by one: %s", reader.repository, error)
            break
    return done


# Not those that something was added to meanwhile.
_FORGET = """
DELETE FROM indexing_hint USING unnest(%s::bigint[], %s::int[]) AS these (id, version)
WHERE indexing_hint.id = these.id AND indexing_hint.version = these.version
"""
_LEAVE = """
UPDATE indexing_hint SET alone = true FROM unnest(%s::bigint[], %s::int[]) AS these (id, version)
WHERE indexing_hint.id = these.id AND indexing_hint.version = these.version
"""


def _forget(hints: list[Hint]) -> None:
    """Remove the hints, but not those that something was added to meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, _versions(hints))


def _versions(hints: list[Hint]) -> list[list[int]]:
    return [[hint.pk for hint in hints], [hint.version for hint in hints]]
