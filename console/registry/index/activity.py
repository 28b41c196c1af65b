"""Count pushes and pulls exactly, in batches instead of one UPDATE for each.

A notification is acknowledged when its activity is stored; a job adds up the stored activity and writes the sums. Each
is one transaction, so a process can be killed at any time. The registry resends an event if our response was lost, so
the IDs of events are stored for a while, and each event is counted once (idempotent).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from console.database.statements import frequent_cursor
from console.registry.index.models import Activity, UnusableEvents

# How long event IDs are stored, counted back from the newest: the registry resends only its current event, however long
# the console was down.
_SEEN_FOR = "10 minutes"
# How long activity waits for its tag to be indexed.
_PATIENCE = "2 minutes"
_MOST_AT_ONCE = 20_000


@dataclass(frozen=True)
class Occurrence:
    """A push or a pull event."""

    event: str
    repository: str
    tag: str
    digest: str
    pull: bool
    at: datetime.datetime


_STORE = """
WITH events AS (
    SELECT DISTINCT ON (event) *
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bool[], %s::timestamptz[])
        AS events (event, repository, tag, digest, pull, at)
    ORDER BY event
), fresh AS (
    INSERT INTO indexing_seenevent (id, seen_at) SELECT event, now() FROM events ON CONFLICT DO NOTHING RETURNING id
)
INSERT INTO indexing_activity (repository, tag, digest, pull, at, notified_at)
SELECT repository, tag, digest, pull, at, now() FROM events JOIN fresh ON fresh.id = events.event
"""


def store(occurrences: Sequence[Occurrence]) -> None:
    """Store events to be counted; repeated ones are ignored (idempotent)."""
    if not occurrences:
        return
    columns = zip(
        *((one.event, one.repository, one.tag, one.digest, one.pull, one.at) for one in occurrences), strict=True
    )
    with connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(_STORE, [list(column) for column in columns])


_STORE_PUSH = """
INSERT INTO indexing_activity (repository, tag, digest, pull, at, notified_at) VALUES (%s, %s, %s, false, %s, now())
"""


def store_push(repository: str, tag: str, digest: str, at: datetime.datetime) -> None:
    """Store a push to be counted, in the transaction that writes it to the index: so it is stored once."""
    with frequent_cursor() as cursor:
        cursor.execute(_STORE_PUSH, [repository, tag, digest, at])


# The next batch of rows. Waiting rows are skipped, so that they do not block later ones.
_NEXT = """
SELECT count(*), max(id) FROM (SELECT id FROM indexing_activity WHERE id > %s ORDER BY id LIMIT %s) AS next
"""
# The rows of the batch to count now, with their image, tag and manifest. Rows whose tag or digest is not indexed yet
# wait for a while. Rows without a namespace are removed immediately, uncounted: nothing is indexed there.
_TAKE = f"""
CREATE TEMPORARY TABLE counted ON COMMIT DROP AS
WITH candidates AS (
    SELECT activity.*, image.id AS image_id, tag.id AS tag_id, manifest.id AS manifest_id,
        NOT EXISTS (
            SELECT FROM namespaces_namespace AS namespace WHERE namespace.name = split_part(activity.repository, '/', 1)
        ) AS without_owner
    FROM (SELECT * FROM indexing_activity WHERE id > %s AND id <= %s) AS activity
    LEFT JOIN images_image AS image ON image.full_name = activity.repository
    LEFT JOIN images_tag AS tag
        ON tag.image_id = image.id AND tag.name = activity.tag AND activity.tag <> ''
    LEFT JOIN images_manifest AS manifest
        ON manifest.image_id = image.id AND manifest.digest = activity.digest AND activity.tag = ''
)
SELECT * FROM candidates
WHERE tag_id IS NOT NULL OR manifest_id IS NOT NULL OR without_owner OR notified_at < now() - interval '{_PATIENCE}'
"""  # noqa: S608  # nosec B608
_ADD = [
    "DELETE FROM indexing_activity USING counted WHERE indexing_activity.id = counted.id",
    # Images are locked first and in order, against deadlocks.
    "SELECT FROM images_image WHERE id IN (SELECT image_id FROM counted) ORDER BY id FOR NO KEY UPDATE",
    """
    UPDATE images_tag SET pull_count = pull_count + sums.pulls, last_pull_at = greatest(last_pull_at, sums.newest)
    FROM (SELECT tag_id, count(*) AS pulls, max(at) AS newest FROM counted WHERE pull GROUP BY tag_id) AS sums
    WHERE images_tag.id = sums.tag_id
    """,
    """
    UPDATE images_manifest SET pull_count = pull_count + sums.pulls, last_pull_at = greatest(last_pull_at, sums.newest)
    FROM (SELECT manifest_id, count(*) AS pulls, max(at) AS newest FROM counted WHERE pull GROUP BY manifest_id) AS sums
    WHERE images_manifest.id = sums.manifest_id
    """,
    # Children of an index are pulled after the index, which was counted as one pull already.
    """
    CREATE TEMPORARY TABLE whole ON COMMIT DROP AS
    SELECT image_id, pull, at FROM counted
    WHERE image_id IS NOT NULL AND NOT (pull AND tag = '' AND manifest_id IN (
        SELECT id FROM images_manifest AS manifest
        WHERE is_child AND NOT EXISTS (SELECT FROM images_tag WHERE images_tag.manifest_id = manifest.id)
    ))
    """,
    """
    UPDATE images_image SET pull_count = pull_count + sums.pulls, last_pull_at = greatest(last_pull_at, sums.newest)
    FROM (SELECT image_id, count(*) AS pulls, max(at) AS newest FROM whole WHERE pull GROUP BY image_id) AS sums
    WHERE images_image.id = sums.image_id
    """,
    """
    INSERT INTO images_dailyactivity AS known (image_id, day, pushes, pulls)
    SELECT image_id, (at AT TIME ZONE 'UTC')::date, count(*) FILTER (WHERE NOT pull), count(*) FILTER (WHERE pull)
    FROM whole GROUP BY 1, 2
    ON CONFLICT (image_id, day) DO UPDATE
    SET pushes = known.pushes + excluded.pushes, pulls = known.pulls + excluded.pulls
    """,
    f"""
    DELETE FROM indexing_seenevent
    WHERE seen_at < (SELECT max(seen_at) FROM indexing_seenevent) - interval '{_SEEN_FOR}'
    """,  # noqa: S608  # nosec B608
]


def add_up() -> int:
    """Add stored activity to the counts of tags, manifests, images and days; returns the number of events."""
    if not Activity.objects.exists():
        return 0  # the usual case: saves creating a temporary table
    number, last = 0, 0
    while True:
        seen, counted, last = _add_up_after(last)
        number += counted
        if seen < _MOST_AT_ONCE:
            return number


def _add_up_after(last: int) -> tuple[int, int, int]:
    """Add up the next batch of rows after the one with the ID ``last``.

    :return: how many rows were read, how many of them were counted or removed, and the ID of the last one.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # Advisory lock: one process at a time.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('indexing.add_up'))")
        cursor.execute(_NEXT, [last, _MOST_AT_ONCE])
        seen, end = cursor.fetchone()
        if not seen:
            return 0, 0, last
        cursor.execute("DROP TABLE IF EXISTS counted, whole")
        cursor.execute(_TAKE, [last, end])
        cursor.execute("SELECT count(*) FROM counted")
        (counted,) = cursor.fetchone()
        if counted:
            for statement in _ADD:
                cursor.execute(statement)
    return seen, counted, end


def count_unusable(reason: str, number: int = 1) -> None:
    """Count rejected events."""
    today = timezone.now().date()
    _row, created = UnusableEvents.objects.get_or_create(day=today, reason=reason, defaults={"count": number})
    if not created:
        UnusableEvents.objects.filter(day=today, reason=reason).update(count=F("count") + number)
