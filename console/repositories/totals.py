"""Totals of an image (tags, size, last push), denormalised on its row."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from console.database.statements import frequent_cursor
from console.namespaces.models import Namespace
from console.repositories.locks import lock_images
from console.repositories.models import Image

_WRONG_IMAGE_COUNTS = """
SELECT namespace.id FROM namespaces_namespace AS namespace
LEFT JOIN (SELECT namespace_id, count(*) AS images FROM images_image GROUP BY namespace_id) AS counted
    ON counted.namespace_id = namespace.id
WHERE namespace.image_count <> coalesce(counted.images, 0) ORDER BY namespace.id
"""
_CORRECT_IMAGE_COUNT = """
UPDATE namespaces_namespace SET image_count = (SELECT count(*) FROM images_image WHERE namespace_id = %s) WHERE id = %s
"""
# The size is that of all tagged manifests, each digest once; tags that are shown under another one are not counted.
_COUNT = """
SELECT count(*) FILTER (WHERE NOT attached) AS tags, count(*) FILTER (WHERE attached) AS attachments,
       max(pushed_at) AS newest,
       -- Sizes are user input: the sum could exceed the column's range.
       (
           SELECT least(coalesce(sum(size), 0), 9223372036854775807) FROM images_manifest
           WHERE id IN (SELECT manifest_id FROM images_tag WHERE image_id = {image})
       ) AS size
FROM (
    SELECT pushed_at, subject <> '' AND EXISTS (
        SELECT FROM images_manifest AS about WHERE about.image_id = tag.image_id AND about.digest = tag.subject
    ) AS attached
    FROM images_tag AS tag WHERE image_id = {image}
) AS counted
"""

_COMPARE = f"""
SELECT image.tag_count, image.attachment_count, image.last_push_at, image.size, counted.*
FROM images_image AS image CROSS JOIN ({_COUNT.format(image="%s")}) AS counted WHERE image.id = %s
"""  # noqa: S608  # nosec B608


_REFRESH = f"""
UPDATE images_image AS image SET
    tag_count = counted.tags, attachment_count = counted.attachments, size = counted.size,
    last_push_at = greatest(image.last_push_at, counted.newest), changed_at = %s
FROM unnest(%s::bigint[]) AS changed (id) CROSS JOIN LATERAL ({_COUNT.format(image="changed.id")}) AS counted
WHERE image.id = changed.id
"""  # noqa: S608  # nosec B608


def correct_image_counts() -> int:
    """Recount the images of namespaces whose stored number is wrong; returns how many.

    Triggers keep the numbers. They are wrong after rows were written without triggers, as by some ways of a restore.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WRONG_IMAGE_COUNTS)
        wrong = [namespace for (namespace,) in cursor.fetchall()]
        for namespace in wrong:
            with transaction.atomic():
                # Images are created and deleted under this lock.
                Namespace.objects.select_for_update(no_key=True).filter(pk=namespace).first()
                cursor.execute(_CORRECT_IMAGE_COUNT, [namespace, namespace])
    return len(wrong)


def _are_current(image_id: int) -> bool:
    """Whether the totals are correct, checked without a lock."""
    with connection.cursor() as cursor:
        cursor.execute(_COMPARE, [image_id] * 3)
        row = cursor.fetchone()
    if row is None:
        return True
    tags, attachments, last_push, size, *counted = row
    newest = counted[2]
    return (tags, attachments, size) == (counted[0], counted[1], int(counted[3])) and (
        newest is None or (last_push is not None and newest <= last_push)
    )


def refresh_totals(image_id: int, *, changed: bool = True) -> bool:
    """Recount an image's tags and bytes; returns whether the stored totals were wrong.

    The image's row is locked meanwhile, so in a race of two changes the last count includes both.

    :param changed: whether something that pages show was changed, so that open pages reload.
    """
    if not changed and _are_current(image_id):
        return False
    with transaction.atomic():
        image = Image.objects.select_for_update(of=("self",)).filter(pk=image_id).first()
        if image is None:
            return False
        before = (image.tag_count, image.attachment_count, image.size, image.last_push_at)
        with connection.cursor() as cursor:
            cursor.execute(_COUNT.format(image="%s"), [image_id, image_id])
            tags, attachments, newest, size = cursor.fetchone()
        image.tag_count, image.attachment_count, image.size = tags, attachments, int(size)
        image.last_push_at = max(filter(None, (newest, image.last_push_at)), default=None)
        differed = before != (image.tag_count, image.attachment_count, image.size, image.last_push_at)
        if differed or changed:
            image.changed_at = timezone.now()
            image.save(update_fields=["tag_count", "attachment_count", "size", "last_push_at", "changed_at"])
        return differed


def refresh_totals_of(image_ids: Collection[int]) -> None:
    """Recount tags and bytes of a batch of changed images, with two statements.

    Same result as ``refresh_totals`` for each of them.
    """
    if not image_ids:
        return
    with transaction.atomic():
        lock_images(image_ids)
        refresh_totals_of_locked(image_ids)


# No row where it is not that simple: another tag may be shown under this manifest from now on, or the sum may be at its
# limit.
_ADJUST = """
UPDATE images_image AS image SET
    tag_count = image.tag_count + %(added)s,
    size = image.size
        + CASE WHEN named.id = former.id OR EXISTS (
            SELECT FROM images_tag AS other WHERE other.manifest_id = named.id AND other.name <> %(tag)s
        ) THEN 0 ELSE named.size END
        - CASE WHEN former.id IS NULL OR named.id = former.id OR EXISTS (
            SELECT FROM images_tag AS other WHERE other.manifest_id = former.id
        ) THEN 0 ELSE former.size END,
    last_push_at = greatest(image.last_push_at, tag.pushed_at), changed_at = %(now)s
FROM images_tag AS tag
JOIN images_manifest AS named ON named.id = tag.manifest_id
LEFT JOIN images_manifest AS former ON former.id = %(former)s
WHERE image.id = %(image)s AND tag.image_id = image.id AND tag.name = %(tag)s
    AND image.size < 4611686018427387904 AND named.size < 4611686018427387904
    AND NOT EXISTS (
        SELECT FROM images_tag AS about
        WHERE about.image_id = %(image)s AND about.subject <> '' AND about.subject = named.digest
    )
RETURNING image.id
"""


def adjust_totals_of_locked(image_id: int, tag: str, former: int | None) -> None:
    """Add what one tag has changed to the totals, without counting all tags: a large image has thousands.

    Same result as ``refresh_totals_of_locked``, in a transaction that has locked the image's row and written the tag's.

    :param tag: its row neither has nor had a subject, and no size of a manifest was changed, except that of a new one.
    :param former: the primary key of the manifest that the tag named before; ``None`` if it is new.
    """
    values: dict[str, Any] = {
        "image": image_id,
        "tag": tag,
        "former": former,
        "added": int(former is None),
        "now": timezone.now(),
    }
    with frequent_cursor() as cursor:
        cursor.execute(_ADJUST, values)
        if cursor.fetchone() is not None:
            return
    refresh_totals_of_locked([image_id])


def refresh_totals_of_locked(image_ids: Collection[int]) -> None:
    """As ``refresh_totals_of``, in a transaction that has locked the images' rows already: one statement."""
    with frequent_cursor() as cursor:
        cursor.execute(_REFRESH, [timezone.now(), sorted(image_ids)])
