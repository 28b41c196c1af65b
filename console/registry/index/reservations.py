"""Hints that the gate stores before it changes the registry, and deletes when the index is written.

A console that is killed in between leaves its hint, and the worker syncs it (``left``). Until then the hint is also the
reservation of a place in the quota: a tag that is being pushed counts (``console.gate.lookup``).
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db import connection

from console.database.statements import frequent_cursor
from console.jobs.queue import busy_repositories

# Seconds after which a request counts as dead. If it is still running, a sync beside it is harmless (idempotent).
_LEFT_AFTER = 20


@dataclass(frozen=True)
class Reservation:
    """A stored hint; ``version`` is its optimistic lock."""

    hint: int
    version: int

    @property
    def is_alone(self) -> bool:
        """Whether no other push, deletion or event of the same tag was waiting or in progress."""
        return self.version == 1


# ``alone``: the job that syncs all hints passes over it, because the request itself will sync it. A hint that is there
# already keeps its place: an event of the same tag may be waiting.
_RESERVE = """
INSERT INTO indexing_hint AS known (repository, tag, pushed_at, pushed_by, digest, version, alone)
VALUES (%s, %s, %s, %s, %s, 1, true)
ON CONFLICT (repository, tag) DO UPDATE SET
    version = known.version + 1,
    pushed_at = coalesce(excluded.pushed_at, known.pushed_at),
    pushed_by = CASE WHEN excluded.pushed_at IS NULL THEN known.pushed_by ELSE excluded.pushed_by END,
    digest = CASE WHEN excluded.pushed_at IS NULL THEN known.digest ELSE excluded.digest END
RETURNING id, version
"""


def reserve(
    repository: str, reference: str, pushed_at: datetime.datetime | None = None, pushed_by: str = "", digest: str = ""
) -> Reservation:
    """Store the hint of a change that is about to be made, in the caller's transaction.

    :param reference: a tag or a digest.
    :param pushed_at: the time of a push; ``None`` for a deletion.
    :param pushed_by: the user name that pushes.
    :param digest: what is pushed.
    """
    with frequent_cursor() as cursor:
        cursor.execute(_RESERVE, [repository, reference, pushed_at, pushed_by, digest])
        return Reservation(*cursor.fetchone())


_RELEASE = "DELETE FROM indexing_hint WHERE id = %s AND version = %s"


def release(reservation: Reservation) -> None:
    """Delete a hint, unless it was updated by another push or event: that one syncs the tag, or deletes the hint."""
    with frequent_cursor() as cursor:
        cursor.execute(_RELEASE, [reservation.hint, reservation.version])


# In the order in which other transactions lock hints (``hints.remember``), against deadlocks.
_KEEP_PUSHES = """
UPDATE indexing_hint SET version = version + 1 WHERE id IN (
    SELECT id FROM indexing_hint
    WHERE repository = %s AND digest = %s AND tag <> digest AND pushed_at IS NOT NULL
    ORDER BY repository, tag FOR UPDATE
)
"""


def keep_pushes_of(repository: str, digest: str) -> None:
    """Keep the hints of running pushes of tags, so that the worker syncs them: their manifest was just deleted.

    Such a push may have reached the registry before the deletion, and write a row of a tag that leads nowhere. With
    another ``version``, its ``release`` does nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute(_KEEP_PUSHES, [repository, digest])


_LEFT = """
SELECT DISTINCT repository FROM indexing_hint
WHERE alone AND (pushed_at IS NULL OR pushed_at < now() - make_interval(secs => %s))
"""


def left() -> set[str]:
    """The repositories with hints that neither a request nor a job is working on."""
    with connection.cursor() as cursor:
        cursor.execute(_LEFT, [_LEFT_AFTER])
        repositories = {repository for (repository,) in cursor.fetchall()}
    return repositories - busy_repositories(repositories) if repositories else repositories
