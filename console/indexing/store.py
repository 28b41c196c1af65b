"""Writing down what was read: documents once for each digest, manifests once for each image and digest."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection

from console.images.models import Document, Image, Manifest
from console.indexing import reading
from console.indexing.reading import Reading
from console.registry import at_once, registry
from registry_client import DigestMismatch, MalformedManifest, NotFound, RegistryClient, UnexpectedAnswer
from registry_client import Manifest as RegistryManifest

# An index may name indexes; a chain longer than this is somebody's joke.
_DEEPEST = 16
_MOST_CHILDREN = 1000
# A child or a config that cannot be had, or is not what it should be, is left out.
_LEFT_OUT = (NotFound, MalformedManifest, UnexpectedAnswer, DigestMismatch)


def read_whole(repository: str, manifest: RegistryManifest) -> list[Reading]:
    """The manifest with everything it takes to show it: its config, and its children with theirs, itself first.

    A child or a config that the registry does not have is left out.

    :raises registry_client.RegistryError: when the registry fails.
    """
    found: dict[str, Reading] = {}
    _read(repository, manifest, found, _DEEPEST)
    return list(found.values())


def _read(repository: str, manifest: RegistryManifest, found: dict[str, Reading], depth: int) -> Reading:
    this = reading.read_manifest(manifest)
    found[this.digest] = this
    if reading.wants_config(this) and this.config_descriptor is not None:
        try:
            content = registry().read_blob(repository, this.config_descriptor.digest, reading.CONFIG_LIMIT)
            reading.add_config(this, content)
        except _LEFT_OUT:
            pass
    for child in this.children[:_MOST_CHILDREN]:
        known = found.get(child["digest"]) or (
            _read_child(repository, child["digest"], found, depth) if depth else None
        )
        if known is None:
            continue
        # Somebody may claim any size, and an index adds up what its children claim.
        this.size = min(this.size + known.size, reading.LARGEST_SIZE)
        if not child["platform"] and "about" not in child and len(known.platforms) == 1:
            child["platform"] = known.platforms[0]
    if this.children:
        this.platforms = reading.platforms_of(this.children)
        # A list of artifacts, as the referrers tag schema keeps them, is not a multi-platform image.
        kinds = {found[child["digest"]].kind for child in this.children if child["digest"] in found}
        if kinds == {Manifest.Kind.ARTIFACT}:
            this.kind = Manifest.Kind.ARTIFACT
        dates = [found[child["digest"]].created_at for child in this.children if child["digest"] in found]
        this.created_at = max(filter(None, dates), default=None)
    return this


def _read_child(repository: str, digest: str, found: dict[str, Reading], depth: int) -> Reading | None:
    try:
        return _read(repository, registry().manifest(repository, digest), found, depth - 1)
    except _LEFT_OUT:
        return None


def is_read(image: Image, digest: str) -> Manifest | None:
    """The image's row for a manifest that was read to its end before; a digest never changes what it means."""
    row = Manifest.objects.filter(image=image, digest=digest).exclude(kind=Manifest.Kind.UNREAD).first()
    if row is None or not Document.objects.filter(digest=digest).exists():
        return None
    # A child that was not there may be there now, at any depth; the sizes above it are those without it.
    parents, seen = [row], set[str]()
    while parents:
        named = {digest for parent in parents for digest in parent.child_digests}
        rows = Manifest.objects.filter(image=image, digest__in=named) if named else ()
        below = {child.digest: child for child in rows}
        if len(below) < len(named) or any(one.children and one.size != _sum(one, below) for one in parents):
            return None
        parents = [child for child in below.values() if child.digest not in seen]
        seen |= named
    return row


# Of pairs of an image and a digest. A manifest that names no others was read to its end when its kind is known.
_READ_BEFORE = """
SELECT manifest.image_id, manifest.digest FROM unnest(%s::bigint[], %s::text[]) AS asked (image, digest)
JOIN images_manifest AS manifest ON manifest.image_id = asked.image AND manifest.digest = asked.digest
WHERE manifest.kind <> '' AND EXISTS (SELECT FROM images_document AS document WHERE document.digest = asked.digest)
"""


def read_before(pairs: Iterable[tuple[int, str]]) -> set[tuple[int, str]]:
    """Which of these manifests, that name no others, were read to their end before (as ``is_read`` for one).

    :param pairs: the image's primary key, and the digest.
    """
    images, digests = _columns(pairs)
    with connection.cursor() as cursor:
        cursor.execute(_READ_BEFORE, [images, digests])
        return {(image, digest) for image, digest in cursor.fetchall()}


def read_plain(manifests: Sequence[RegistryManifest], client: RegistryClient) -> list[Reading]:
    """Manifests that name no others, in order, each with its config where that can be had.

    A config that several manifests of one repository name is fetched once.

    :raises registry_client.RegistryError: when the registry fails.
    """
    readings = [reading.read_manifest(manifest) for manifest in manifests]
    wanted = [
        (manifest.repository, this.config_descriptor.digest)
        if this.config_descriptor is not None and reading.wants_config(this)
        else None
        for manifest, this in zip(manifests, readings, strict=True)
    ]
    different = sorted({one for one in wanted if one is not None})
    contents = dict(zip(different, at_once(functools.partial(_config, client), different), strict=True))
    for this, asked in zip(readings, wanted, strict=True):
        content = contents[asked] if asked is not None else None
        if content is not None:
            reading.add_config(this, content)
    return readings


def _config(client: RegistryClient, asked: tuple[str, str]) -> bytes | None:
    try:
        return client.read_blob(*asked, reading.CONFIG_LIMIT)
    except _LEFT_OUT:
        return None


def _columns(pairs: Iterable[tuple[int, str]]) -> tuple[list[int], list[str]]:
    pairs = list(pairs)
    return [image for image, _digest in pairs], [digest for _image, digest in pairs]


def _sum(index: Manifest, children: dict[str, Manifest]) -> int:
    return min(sum(children[digest].size for digest in index.child_digests), reading.LARGEST_SIZE)


_INCOMPLETE = f"""
WITH RECURSIVE named AS (
    SELECT parent.digest AS parent, parent.size, child ->> 'digest' AS child, known.size AS known_size
    FROM images_manifest AS parent CROSS JOIN jsonb_array_elements(parent.children) AS child
    LEFT JOIN images_manifest AS known ON known.image_id = parent.image_id AND known.digest = child ->> 'digest'
    WHERE parent.image_id = %s
), broken AS (
    SELECT parent FROM named GROUP BY parent, size
    HAVING bool_or(known_size IS NULL) OR least(sum(known_size), {reading.LARGEST_SIZE}) <> size
    UNION
    SELECT named.parent FROM named JOIN broken ON named.child = broken.parent
)
SELECT parent FROM broken
"""  # noqa: S608  # nosec B608


def incomplete(image: Image) -> set[str]:
    """The digests of indexes that name something, at any depth, which was not there when they were read."""
    with connection.cursor() as cursor:
        cursor.execute(_INCOMPLETE, [image.pk])
        return {digest for (digest,) in cursor.fetchall()}


_DOCUMENTS = """
INSERT INTO images_document (digest, media_type, content, config)
SELECT digest, media_type, content, config::jsonb
FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::text[]) AS read (digest, media_type, content, config)
ON CONFLICT (digest) DO UPDATE SET config = excluded.config
"""
_MANIFESTS = """
INSERT INTO images_manifest (
    image_id, digest, media_type, kind, size, platforms, blobs, children, artifact_type, subject, created_at,
    is_child, doomed, pull_count
)
SELECT image, digest, media_type, kind, size, platforms::jsonb, blobs::jsonb, children::jsonb, artifact_type, subject,
    created_at, false, false, 0
FROM unnest(
    %s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[],
    %s::text[], %s::timestamptz[]
) AS read (
    image, digest, media_type, kind, size, platforms, blobs, children, artifact_type, subject, created_at
)
ON CONFLICT (image_id, digest) DO UPDATE SET
    media_type = excluded.media_type, kind = excluded.kind, size = excluded.size, platforms = excluded.platforms,
    blobs = excluded.blobs, children = excluded.children, artifact_type = excluded.artifact_type,
    subject = excluded.subject, created_at = excluded.created_at
"""
_STORED = """
SELECT manifest.id, manifest.image_id, manifest.digest, manifest.subject, manifest.doomed
FROM unnest(%s::bigint[], %s::text[]) AS asked (image, digest)
JOIN images_manifest AS manifest ON manifest.image_id = asked.image AND manifest.digest = asked.digest
"""


def store_all(readings: Iterable[tuple[int, Reading]]) -> None:
    """Write readings down, each for the image whose primary key stands before it, with one statement for each table."""
    # In a settled order: two images that share manifests may be read at once.
    ordered = sorted(readings, key=lambda pair: (pair[1].digest, pair[0]))
    if not ordered:
        return
    documents = {one.digest: one for _image, one in ordered}.values()
    with connection.cursor() as cursor:
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
                    json.dumps(one.platforms),
                    json.dumps(one.blobs),
                    json.dumps(one.children),
                    one.artifact_type,
                    one.subject,
                    one.created_at,
                )
                for image, one in ordered
            ),
        )
    named: dict[int, set[str]] = {}
    for image, one in ordered:
        named.setdefault(image, set()).update(child["digest"] for child in one.children)
    for image, digests in sorted(named.items()):
        if digests:
            Manifest.objects.filter(image=image, digest__in=digests, is_child=False).update(is_child=True)


def _transposed(lines: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*lines, strict=True)]


def stored(pairs: Iterable[tuple[int, str]]) -> dict[tuple[int, str], Manifest]:
    """The rows of these manifests, by image and digest, with what it takes to let a tag point at them and no more."""
    images, digests = _columns(pairs)
    with connection.cursor() as cursor:
        cursor.execute(_STORED, [images, digests])
        return {
            (image, digest): Manifest(pk=pk, image_id=image, digest=digest, subject=subject, doomed=doomed)
            for pk, image, digest, subject, doomed in cursor.fetchall()
        }


def store(image: Image, readings: Iterable[Reading]) -> Manifest:
    """Write the readings down; the row of the first of them."""
    readings = list(readings)
    store_all((image.pk, one) for one in readings)
    return Manifest.objects.get(image=image, digest=readings[0].digest)
