"""Keeping hints, and following them."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import DatabaseError, connection

from console.indexing.models import Hint
from console.indexing.services import Reader
from console.registry import registry
from registry_client import RegistryError, RegistryUnavailable

log = logging.getLogger(__name__)

_BATCH = 100
# Of these, how many are looked at with a few statements. One that is slow holds up no more than these.
_AT_ONCE = 20


@dataclass(frozen=True)
class Notice:
    """What one notification says of a tag: who pushed it when, or nothing but that it changed."""

    repository: str
    tag: str
    pushed_at: datetime.datetime | None = None
    pushed_by: str = ""


# Of two pushes the later one's time and name stay, in whatever order they are told.
_REMEMBER = """
INSERT INTO indexing_hint AS known (repository, tag, pushed_at, pushed_by, version)
VALUES (%s, %s, %s, %s, 1)
ON CONFLICT (repository, tag) DO UPDATE SET
    version = known.version + 1,
    pushed_by = CASE
        WHEN excluded.pushed_at >= coalesce(known.pushed_at, '-infinity') THEN excluded.pushed_by
        ELSE known.pushed_by
    END,
    pushed_at = greatest(known.pushed_at, excluded.pushed_at)
"""


def remember(notices: Iterable[Notice]) -> None:
    """Store what is to be looked at. Must be sorted by the caller where several may do so at once."""
    with connection.cursor() as cursor:
        cursor.executemany(
            _REMEMBER, [(notice.repository, notice.tag, notice.pushed_at, notice.pushed_by) for notice in notices]
        )


def follow(repository: str) -> int:
    """Look at every tag of ``repository`` that there is a hint for; how many were dealt with.

    A tag that the registry answers strangely for is left to the next reconcile, and one that it cannot read just now
    stays hinted at; neither holds up the others.

    :raises registry_client.RegistryError: when the registry is down or does not let us in, or could not read some tag;
        what was not looked at stays hinted at.
    """
    followed = 0
    failed: dict[int, RegistryError] = {}
    while hints := list(Hint.objects.filter(repository=repository).exclude(pk__in=failed).order_by("pk")[:_BATCH]):
        reader = Reader(repository)
        looked: list[Hint] = []
        try:
            done = _look_at_many(reader, hints)
            looked += [hint for hint in hints if hint.tag in done]
            for hint in hints:
                if hint.tag in done:
                    continue
                try:
                    reader.look(hint.tag, pushed_at=hint.pushed_at, pushed_by=hint.pushed_by)
                except RegistryError as error:
                    # Whether it is the tag or the registry that cannot be read: the latter raises here.
                    registry().ping()
                    if isinstance(error, RegistryUnavailable):
                        failed[hint.pk] = error
                        continue
                    log.warning("%s:%s cannot be indexed: %s", repository, hint.tag, error)
                looked.append(hint)
        finally:
            # Also what was done before a failure is counted, and not done again.
            if looked:
                reader.settle()
                _forget(looked)
                followed += len(looked)
    if failed:
        raise next(iter(failed.values()))
    return followed


def _look_at_many(reader: Reader, hints: list[Hint]) -> set[str]:
    """Look at some tags at a time; those that were dealt with. The rest, from a difficulty on, takes one look each."""
    done: set[str] = set()
    for start in range(0, len(hints), _AT_ONCE):
        try:
            done |= reader.look_at_pushed(hints[start : start + _AT_ONCE])
        except (RegistryError, DatabaseError) as error:
            log.info("%s: tags are looked at one by one: %s", reader.repository, error)
            break
    return done


def _forget(hints: list[Hint]) -> None:
    """Remove the hints, but not those that something was added to meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM indexing_hint USING unnest(%s::bigint[], %s::int[]) AS followed (id, version) "
            "WHERE indexing_hint.id = followed.id AND indexing_hint.version = followed.version",
            [[hint.pk for hint in hints], [hint.version for hint in hints]],
        )
