"""Write manifests and documents to the index: documents once per digest, manifests once per image and digest."""

from __future__ import annotations

import datetime
import functools
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import connection

from console.database.statements import frequent_cursor
from console.registry.connection import at_once
from console.registry.index import parse
from console.registry.index.parse import Reading
from console.repositories.models import Image, Manifest, Tag
from registry_client import DigestMismatch, NotFound, RegistryClient, UnexpectedAnswer
from registry_client import Manifest as RegistryManifest

# Approximate bytes of one statement; as text it may be twice as long, and PostgreSQL's limit is 1 GB.
MOST_BYTES = 2 << 20
_MOST_ROWS = 500
# Marks children of an index that are not read because there are too many; deletions need their digests.
SKIPPED = "skipped"


# A child that was missing may exist now, at any depth; the sizes of its parents do not include it.
_IS_READ = f"""
WITH RECURSIVE tree (digest) AS (
    SELECT %(digest)s::text
    UNION
    SELECT child ->> 'digest' FROM tree
    JOIN images_manifest AS parent ON parent.image_id = %(image)s AND parent.digest = tree.digest
    CROSS JOIN jsonb_array_elements(parent.children) AS child WHERE NOT child ? '{SKIPPED}'
), broken AS (
    SELECT FROM tree
    JOIN images_manifest AS parent ON parent.image_id = %(image)s AND parent.digest = tree.digest
    CROSS JOIN jsonb_array_elements(parent.children) AS child
    LEFT JOIN images_manifest AS known ON known.image_id = parent.image_id AND known.digest = child ->> 'digest'
    WHERE NOT child ? '{SKIPPED}'
    GROUP BY parent.id
    HAVING bool_or(known.size IS NULL)
        OR least(parent.own_size + sum(known.size), {parse.LARGEST_SIZE}) <> parent.size
)
SELECT manifest.id FROM images_manifest AS manifest
WHERE manifest.image_id = %(image)s AND manifest.digest = %(digest)s AND manifest.kind <> ''
AND EXISTS (SELECT FROM images_document AS document WHERE document.digest = manifest.digest)
AND NOT EXISTS (SELECT FROM broken)
"""  # noqa: S608  # nosec B608


def is_read(image: Image, digest: str) -> bool:
    """Whether the index has a manifest of an image with all its children; the content of a digest never changes."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_READ, {"image": image.pk, "digest": digest})
        return cursor.fetchone() is not None


_FACTS = """
SELECT manifest.digest, jsonb_array_length(manifest.children) > 0, manifest.size, manifest.kind, manifest.created_at,
    CASE jsonb_array_length(manifest.platforms) WHEN 1 THEN manifest.platforms ->> 0 ELSE '' END
FROM images_manifest AS manifest
WHERE manifest.image_id = %s AND manifest.digest = ANY (%s) AND manifest.kind <> ''
AND EXISTS (SELECT FROM images_document AS document WHERE document.digest = manifest.digest)
"""
Facts = tuple[int, str, datetime.datetime | None, str]


def facts(image: Image, digests: Sequence[str]) -> tuple[dict[str, Facts], set[str]]:
    """Facts about those of these manifests of the image that were read, and the digests of indexes among them.

    Facts are size, kind, date, and the platform if there is exactly one. Whether all children of the indexes were read,
    ``incomplete`` says.
    """
    if not digests:
        return {}, set()
    with connection.cursor() as cursor:
        cursor.execute(_FACTS, [image.pk, list(digests)])
        rows = cursor.fetchall()
    return {digest: tuple(rest) for digest, _, *rest in rows}, {digest for digest, is_index, *_ in rows if is_index}


# For pairs of an image and a digest. A manifest without children was read completely if its kind is known.
_READ_BEFORE = """
SELECT manifest.image_id, manifest.digest FROM unnest(%s::bigint[], %s::text[]) AS asked (image, digest)
JOIN images_manifest AS manifest ON manifest.image_id = asked.image AND manifest.digest = asked.digest
WHERE manifest.kind <> '' AND EXISTS (SELECT FROM images_document AS document WHERE document.digest = asked.digest)
"""


def read_before(pairs: Iterable[tuple[int, str]]) -> set[tuple[int, str]]:
    """Which of these manifests without children were read before (a batch of ``is_read``).

    :param pairs: the image's primary key, and the digest.
    """
    images, digests = _columns(pairs)
    with connection.cursor() as cursor:
        cursor.execute(_READ_BEFORE, [images, digests])
        return {(image, digest) for image, digest in cursor.fetchall()}


def read_plain(manifests: Sequence[RegistryManifest], client: RegistryClient) -> list[Reading]:
    """Parse manifests without children, in order, each with its config if the registry has it.

    At most as many bytes of a config are read as the manifest states, so that a limit on that size limits the memory. A
    config that several manifests of one repository share is fetched once.

    :raises registry_client.RegistryError: when the registry fails.
    """
    readings = [parse.read_manifest(manifest) for manifest in manifests]
    wanted = [
        (manifest.repository, this.config_descriptor.digest, this.config_descriptor.size)
        if this.config_descriptor is not None and parse.wants_config(this)
        else None
        for manifest, this in zip(manifests, readings, strict=True)
    ]
    different = sorted({one for one in wanted if one is not None})
    contents = dict(zip(different, at_once(functools.partial(_config, client), different), strict=True))
    for this, asked in zip(readings, wanted, strict=True):
        content = contents[asked] if asked is not None else None
        if content is not None:
            parse.add_config(this, content)
    return readings


def _config(client: RegistryClient, asked: tuple[str, str, int]) -> bytes | None:
    try:
        return client.read_blob(*asked)
    except (NotFound, UnexpectedAnswer, DigestMismatch):
        return None


def _columns(pairs: Iterable[tuple[int, str]]) -> tuple[list[int], list[str]]:
    pairs = list(pairs)
    return [image for image, _digest in pairs], [digest for _image, digest in pairs]


_INCOMPLETE = f"""
WITH RECURSIVE named AS (
    SELECT parent.digest AS parent, parent.size, parent.own_size, child ->> 'digest' AS child,
        known.size AS known_size
    FROM images_manifest AS parent CROSS JOIN jsonb_array_elements(parent.children) AS child
    LEFT JOIN images_manifest AS known ON known.image_id = parent.image_id AND known.digest = child ->> 'digest'
    WHERE parent.image_id = %s AND NOT child ? '{SKIPPED}'
), broken AS (
    SELECT parent FROM named GROUP BY parent, size, own_size
    HAVING bool_or(known_size IS NULL) OR least(own_size + sum(known_size), {parse.LARGEST_SIZE}) <> size
    UNION
    SELECT named.parent FROM named JOIN broken ON named.child = broken.parent
)
SELECT parent FROM broken
"""  # noqa: S608  # nosec B608


def incomplete(image: Image) -> set[str]:
    """The digests of indexes with a child, at any depth, that was missing when they were read."""
    with connection.cursor() as cursor:
        cursor.execute(_INCOMPLETE, [image.pk])
        return {digest for (digest,) in cursor.fetchall()}


# Manifests that were children of an index, and that no index names any more.
_CLEAR_CHILD_FLAGS = """
UPDATE images_manifest SET is_child = false WHERE image_id = %s AND is_child AND digest NOT IN (
    SELECT child ->> 'digest' FROM images_manifest AS parent CROSS JOIN jsonb_array_elements(parent.children) AS child
    WHERE parent.image_id = %s AND child ->> 'digest' IS NOT NULL
)
"""


def clear_child_flags(image: Image) -> None:
    """Clear ``is_child`` of manifests that no index names any more; the caller holds the image's lock."""
    with connection.cursor() as cursor:
        cursor.execute(_CLEAR_CHILD_FLAGS, [image.pk, image.pk])


def tags_naming(image: Image, digest: str) -> list[str]:
    """For each index that names a manifest and has tags, one of them."""
    tags = Tag.objects.filter(image=image, manifest__children__contains=[{"digest": digest}])
    return list(dict(tags.order_by("name").values_list("manifest", "name")).values())


# Upsert. All images with a digest share its document. Its configuration depends only on its bytes, but a repository may
# lack the config blob: then the configuration read from another repository is not overwritten.
_DOCUMENTS = """
INSERT INTO images_document (digest, media_type, content, config)
SELECT digest, media_type, content, config::jsonb
FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::text[]) AS read (digest, media_type, content, config)
ON CONFLICT (digest) DO UPDATE SET config = excluded.config
WHERE excluded.config NOT IN ('{}', images_document.config)
"""
# Upsert; values from an unreadable configuration do not overwrite earlier ones.
_MANIFESTS = """
INSERT INTO images_manifest AS known (
    image_id, digest, media_type, kind, size, own_size, platforms, blobs, children, artifact_type, subject,
    created_at, is_child, doomed, pull_count
)
SELECT image, digest, media_type, kind, size, own_size, platforms::jsonb, blobs::jsonb, children::jsonb,
    artifact_type, subject, created_at, false, false, 0
FROM unnest(
    %s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[],
    %s::text[], %s::text[], %s::timestamptz[]
) AS read (
    image, digest, media_type, kind, size, own_size, platforms, blobs, children, artifact_type, subject, created_at
)
ON CONFLICT (image_id, digest) DO UPDATE SET
    media_type = excluded.media_type, kind = excluded.kind, size = excluded.size, own_size = excluded.own_size,
    platforms = CASE
        WHEN excluded.platforms = '[]' AND excluded.children = '[]' AND excluded.kind = known.kind THEN known.platforms
        ELSE excluded.platforms
    END,
    blobs = excluded.blobs, children = excluded.children,
    artifact_type = excluded.artifact_type, subject = excluded.subject,
    created_at = CASE
        WHEN excluded.children = '[]' AND excluded.kind = known.kind
        THEN coalesce(excluded.created_at, known.created_at)
        ELSE excluded.created_at
    END
"""


def store_all(readings: Iterable[tuple[int, Reading]]) -> None:
    """Upsert manifests, given as pairs of an image's primary key and a reading, in batches."""
    # In a fixed order, against deadlocks: two images that share manifests may be synced at the same time.
    ordered = sorted(readings, key=lambda pair: (pair[1].digest, pair[0]))
    with frequent_cursor() as cursor:
        for some in _pieces(ordered):
            _store(cursor, some)
    for image, group in itertools.groupby(sorted(ordered, key=_image_of), key=_image_of):
        digests = {child["digest"] for _image, one in group for child in one.children}
        if digests:
            Manifest.objects.filter(image=image, digest__in=digests, is_child=False).update(is_child=True)


def _image_of(pair: tuple[int, Reading]) -> int:
    return pair[0]


def _pieces(readings: Iterable[tuple[int, Reading]]) -> Iterator[list[tuple[int, Reading]]]:
    """Split into batches for one statement each."""
    piece, weight = list[tuple[int, Reading]](), 0
    for pair in readings:
        if piece and (weight + pair[1].weight > MOST_BYTES or len(piece) >= _MOST_ROWS):
            yield piece
            piece, weight = [], 0
        piece.append(pair)
        weight += pair[1].weight
    if piece:
        yield piece


def _store(cursor: Any, readings: list[tuple[int, Reading]]) -> None:
    documents = {one.digest: one for _image, one in readings}.values()
    cursor.execute(
        _DOCUMENTS,
        _transposed((one.digest, one.media_type, one.content, json.dumps(one.config)) for one in documents),
    )
    cursor.execute(
        _MANIFESTS,
        _transposed(
            (
                image,
                one.digest,
                one.media_type,
                str(one.kind),
                one.size,
                one.own_size,
                json.dumps(one.platforms),
                json.dumps(one.blobs),
                json.dumps(one.children),
                one.artifact_type,
                one.subject,
                one.created_at,
            )
            for image, one in readings
        ),
    )


def _transposed(lines: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*lines, strict=True)]
