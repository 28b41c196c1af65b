"""Digests of push events that are not in the index (yet).

A manifest can be pushed without a tag (a platform of an image whose push was interrupted), and a tag can be overwritten
before it is synced. The registry lists only tags. So the digest of each push event is stored until the image is
deleted, which deletes these manifests too, or until the index has it.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from console.repositories.models import Image, Manifest, PushedDigest

# clock_timestamp(): two events of one transaction get different times.
_REMEMBER = """
INSERT INTO images_pusheddigest (repository, digest, notified_at)
SELECT repository, digest, clock_timestamp() FROM unnest(%s::text[], %s::text[]) AS notified (repository, digest)
ON CONFLICT (repository, digest) DO UPDATE SET notified_at = excluded.notified_at, removed = false
"""


def remember(pushes: Iterable[tuple[str, str]]) -> None:
    """Upsert pushed digests, given as pairs of repository and digest, with one statement."""
    # In a fixed order, against deadlocks with concurrent calls.
    pushes = sorted(set(pushes))
    if pushes:
        with connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]
            cursor.execute(_REMEMBER, [[repository for repository, _ in pushes], [digest for _, digest in pushes]])


def announce(repository: str, digest: str) -> datetime.datetime:
    """As ``remember``, for one digest that is about to be pushed; returns its ``notified_at``, to ``forget`` it."""
    with connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(f"{_REMEMBER} RETURNING notified_at", [[repository], [digest]])
        notified_at: datetime.datetime = cursor.fetchone()[0]
        return notified_at


def add(repository: str, digests: Iterable[str]) -> None:
    """Store digests that manifests of a repository name; existing rows are not changed."""
    now = timezone.now()
    rows = [PushedDigest(repository=repository, digest=digest, notified_at=now) for digest in sorted(digests)]
    PushedDigest.objects.bulk_create(rows, ignore_conflicts=True)


def take(repository: str, most: int) -> list[str]:
    """Take up to ``most`` digests of a repository: returned, and deleted in the caller's transaction.

    A later push of the same digest sends another event.
    """
    rows = PushedDigest.objects.select_for_update().filter(repository=repository).order_by("digest")[:most]
    taken = dict(rows.values_list("pk", "digest"))
    PushedDigest.objects.filter(pk__in=taken).delete()
    return list(taken.values())


def repositories() -> set[str]:
    """The repositories with stored push events."""
    return set(PushedDigest.objects.order_by().values_list("repository", flat=True).distinct())


def without_image(most: int) -> list[PushedDigest]:
    """Up to ``most`` rows that are older than a day and whose repository has no image."""
    a_day_ago = timezone.now() - datetime.timedelta(days=1)
    image = Image.objects.filter(full_name=OuterRef("repository"))
    return list(PushedDigest.objects.filter(~Exists(image), notified_at__lt=a_day_ago).order_by("notified_at")[:most])


def unindexed(image: Image) -> QuerySet[PushedDigest]:
    """The digests that were pushed to the image and are not in the index."""
    indexed = Manifest.objects.filter(image=image, digest=OuterRef("digest"))
    return PushedDigest.objects.filter(~Exists(indexed), repository=image.repository)


# Rows are locked in the same order as in ``remember`` and ``take``, against deadlocks.
_FORGET = """
DELETE FROM images_pusheddigest WHERE id IN (
    SELECT pushed.id FROM images_pusheddigest AS pushed
    JOIN unnest(%s::text[], %s::timestamptz[]) AS gone (digest, notified)
        ON pushed.digest = gone.digest AND pushed.notified_at = gone.notified
    WHERE pushed.repository = %s
    ORDER BY pushed.digest FOR UPDATE OF pushed
)
"""


def forget(repository: str, notified: Mapping[str, datetime.datetime]) -> None:
    """Delete these digests, except those with another event since the time in ``notified``."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [list(notified), list(notified.values()), repository])


_MARK_REMOVED = """
UPDATE images_pusheddigest SET removed = true WHERE id IN (
    SELECT pushed.id FROM images_pusheddigest AS pushed
    JOIN unnest(%s::text[], %s::timestamptz[]) AS gone (digest, notified)
        ON pushed.digest = gone.digest AND pushed.notified_at = gone.notified
    WHERE pushed.repository = %s
    ORDER BY pushed.digest FOR UPDATE OF pushed
)
"""


def mark_removed(repository: str, notified: Mapping[str, datetime.datetime]) -> None:
    """Mark these digests as removed from the registry, except those pushed again since ``notified``.

    :param notified: each digest with its ``notified_at`` from before it was removed.
    """
    with connection.cursor() as cursor:
        cursor.execute(_MARK_REMOVED, [list(notified), list(notified.values()), repository])


# After a day, because the index may be about to remove a manifest that was deleted before it was pushed again. Locked
# rows are skipped until the next run.
_FORGET_NEEDLESS = """
DELETE FROM images_pusheddigest WHERE id IN (
    SELECT pushed.id FROM images_pusheddigest AS pushed
    WHERE notified_at < now() - interval '1 day' AND (
        EXISTS (
            SELECT FROM images_image AS image JOIN images_manifest AS manifest ON manifest.image_id = image.id
            WHERE image.full_name = pushed.repository AND manifest.digest = pushed.digest
        )
        -- A held name is cleared of these digests before others can take it.
        OR NOT EXISTS (
            SELECT FROM namespaces_namespace AS namespace WHERE namespace.name = split_part(pushed.repository, '/', 1)
            UNION ALL
            SELECT FROM namespaces_namespacehold AS hold WHERE hold.name = split_part(pushed.repository, '/', 1)
        )
    )
    FOR UPDATE OF pushed SKIP LOCKED
)
"""


def forget_needless() -> None:
    """Delete digests that the index has by now, or whose namespace does not exist."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET_NEEDLESS)
