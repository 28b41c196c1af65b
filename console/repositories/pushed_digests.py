"""Digests that were pushed and are not in the index yet.

A manifest can be pushed by its digest alone (a platform of an image whose push broke off), and a tag can be pushed anew
before anybody has looked at it. The registry lists what tags name and nothing else. So the digest of each push that it
tells of is kept: until the image is deleted, which takes it along, or until the index has it.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from console.repositories.models import Image, Manifest, PushedDigest

# clock_timestamp(): two pushes told of in one transaction are two.
_REMEMBER = """
INSERT INTO images_pusheddigest (repository, digest, told_at)
SELECT repository, digest, clock_timestamp() FROM unnest(%s::text[], %s::text[]) AS told (repository, digest)
ON CONFLICT (repository, digest) DO UPDATE SET told_at = excluded.told_at, removed = false
"""


def remember(pushes: Iterable[tuple[str, str]]) -> None:
    """Keep what was pushed, pairs of repository and digest, in one statement."""
    # In a settled order: two may store at once.
    pushes = sorted(set(pushes))
    if pushes:
        with connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]
            cursor.execute(_REMEMBER, [[repository for repository, _ in pushes], [digest for _, digest in pushes]])


def add(repository: str, digests: Iterable[str]) -> None:
    """Keep what manifests of a repository name, but for what is kept already."""
    rows = [PushedDigest(repository=repository, digest=digest, told_at=timezone.now()) for digest in sorted(digests)]
    PushedDigest.objects.bulk_create(rows, ignore_conflicts=True)


def take(repository: str, most: int) -> list[str]:
    """Up to ``most`` digests of a repository, which are forgotten with the caller's transaction.

    What is pushed again after that is told of again.
    """
    rows = PushedDigest.objects.select_for_update().filter(repository=repository).order_by("digest")[:most]
    taken = dict(rows.values_list("pk", "digest"))
    PushedDigest.objects.filter(pk__in=taken).delete()
    return list(taken.values())


def repositories() -> set[str]:
    """The repositories that pushes were told of."""
    return set(PushedDigest.objects.order_by().values_list("repository", flat=True).distinct())


def without_image(most: int) -> list[PushedDigest]:
    """Up to ``most`` of the rows that are a day old and whose repository has no image."""
    a_day_ago = timezone.now() - datetime.timedelta(days=1)
    image = Image.objects.filter(full_name=OuterRef("repository"))
    return list(PushedDigest.objects.filter(~Exists(image), told_at__lt=a_day_ago).order_by("told_at")[:most])


def unindexed(image: Image) -> QuerySet[PushedDigest]:
    """What was pushed to the image and is not in the index."""
    indexed = Manifest.objects.filter(image=image, digest=OuterRef("digest"))
    return PushedDigest.objects.filter(~Exists(indexed), repository=image.repository)


# In the order in which they are remembered and taken: two that lock them in different orders could wait for each other.
_FORGET = """
DELETE FROM images_pusheddigest WHERE id IN (
    SELECT pushed.id FROM images_pusheddigest AS pushed
    JOIN unnest(%s::text[], %s::timestamptz[]) AS gone (digest, told)
        ON pushed.digest = gone.digest AND pushed.told_at = gone.told
    WHERE pushed.repository = %s
    ORDER BY pushed.digest FOR UPDATE OF pushed
)
"""


def forget(repository: str, told: Mapping[str, datetime.datetime]) -> None:
    """Forget these digests, but not those that were told of once more since ``told``."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [list(told), list(told.values()), repository])


_MARK_REMOVED = """
UPDATE images_pusheddigest SET removed = true WHERE id IN (
    SELECT pushed.id FROM images_pusheddigest AS pushed
    JOIN unnest(%s::text[], %s::timestamptz[]) AS gone (digest, told)
        ON pushed.digest = gone.digest AND pushed.told_at = gone.told
    WHERE pushed.repository = %s
    ORDER BY pushed.digest FOR UPDATE OF pushed
)
"""


def mark_removed(repository: str, told: Mapping[str, datetime.datetime]) -> None:
    """Mark these digests as removed from the registry, except those pushed again since ``told``.

    :param told: each digest with its ``told_at`` from before it was removed.
    """
    with connection.cursor() as cursor:
        cursor.execute(_MARK_REMOVED, [list(told), list(told.values()), repository])


# A day, because the index may be about to forget a manifest that was gone before it was pushed again. What others have
# locked is left for the next time.
_FORGET_NEEDLESS = """
DELETE FROM images_pusheddigest WHERE id IN (
    SELECT pushed.id FROM images_pusheddigest AS pushed
    WHERE told_at < now() - interval '1 day' AND (
        EXISTS (
            SELECT FROM images_image AS image JOIN images_manifest AS manifest ON manifest.image_id = image.id
            WHERE image.full_name = pushed.repository AND manifest.digest = pushed.digest
        )
        -- A name that is held is cleared of what it tells of, and then given to others.
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
    """Forget what the index knows by now, and what lies in a namespace that nobody has."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET_NEEDLESS)
