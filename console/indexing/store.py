"""Writing down what was read: documents once for each digest, manifests once for each image and digest."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from django.db import connection

from console.images.models import Document, Image, Manifest, Tag
from console.indexing import reading
from console.indexing.reading import Reading
from console.registry import at_once, registry
from registry_client import (
    MANIFEST_MEDIA_TYPES,
    Descriptor,
    DigestMismatch,
    MalformedManifest,
    NotFound,
    RegistryClient,
    RegistryUnavailable,
    UnexpectedAnswer,
    UnreadableContent,
)
from registry_client import Manifest as RegistryManifest

# An index may name indexes; a chain longer than this is somebody's joke.
_DEEPEST = 16
_MOST_CHILDREN = 1000
# A child or a config that cannot be had, or is not what it should be, is left out.
_LEFT_OUT = (NotFound, MalformedManifest, UnexpectedAnswer, DigestMismatch)


def read_whole(repository: str, manifest: RegistryManifest, *, lenient: bool = False) -> list[Reading]:
    """The manifest with everything it takes to show it: its config, and its children with theirs, itself first.

    A child or a config that the registry does not have is left out.

    :param lenient: whether that is left out, too, which the registry answers with an error of its own (500).
    :raises registry_client.RegistryError: when the registry fails.
    """
    whole = _Whole(repository, lenient)
    whole.read(manifest, _DEEPEST)
    return list(whole.found.values())


class _Whole:
    """Reads a manifest with all below it into ``found``, each digest once."""

    def __init__(self, repository: str, lenient: bool) -> None:
        self.repository, self.lenient = repository, lenient
        self.found: dict[str, Reading] = {}

    def read(self, manifest: RegistryManifest, depth: int) -> Reading:
        """Read one manifest, and what it names unless that is ``depth`` indexes further down."""
        this = reading.read_manifest(manifest)
        self.found[this.digest] = this
        if reading.wants_config(this) and this.config_descriptor is not None:
            content = self._config(this.config_descriptor.digest)
            if content is not None:
                reading.add_config(this, content)
        if this.children:
            reading.separate_blobs(this, self._read_entries(manifest, depth))
            self._add_up(this)
        return this

    def _add_up(self, this: Reading) -> None:
        """Give an index the size, the platforms and the date of what it names."""
        this.size = this.own_size
        for child in this.children[:_MOST_CHILDREN]:
            known = self.found.get(child["digest"])
            if known is None:
                continue
            # Somebody may claim any size, and an index adds up what its children claim.
            this.size = min(this.size + known.size, reading.LARGEST_SIZE)
            if not child["platform"] and "about" not in child and len(known.platforms) == 1:
                child["platform"] = known.platforms[0]
        this.platforms = reading.platforms_of(this.children)
        # A list of artifacts, as the referrers tag schema keeps them, is not a multi-platform image.
        known_children = [self.found[child["digest"]] for child in this.children if child["digest"] in self.found]
        if this.kind == Manifest.Kind.INDEX and {one.kind for one in known_children} == {Manifest.Kind.ARTIFACT}:
            this.kind = Manifest.Kind.ARTIFACT
        this.created_at = max(filter(None, (one.created_at for one in known_children)), default=None)

    def _read_entries(self, manifest: RegistryManifest, depth: int) -> dict[str, Descriptor]:
        """Read the manifests that an index names; which of its entries are blobs.

        What an entry is, the registry says; its media type only where the registry does not have it.
        """
        asked = [entry for entry in manifest.entries[:_MOST_CHILDREN] if depth and entry.digest not in self.found]
        layers = [entry for entry in asked if not _says_manifest(entry)]
        claimed = set(asked).difference(layers)
        held = dict(zip(layers, at_once(self._held, layers), strict=True))
        blobs: dict[str, Descriptor] = {}
        for entry in manifest.entries:
            if entry.digest in self.found:
                continue
            content = self._held(entry) if entry in claimed else held.get(entry)
            if isinstance(content, RegistryManifest):
                self.read(content, depth - 1)
            elif content is not None or not _says_manifest(entry):
                blobs[entry.digest] = entry
        return blobs

    def _held(self, entry: Descriptor) -> RegistryManifest | Descriptor | None:
        try:
            return registry().content_of(self.repository, entry.digest, entry.media_type)
        except UnreadableContent as error:
            if error.status == HTTPStatus.INTERNAL_SERVER_ERROR and not self.lenient:
                raise RegistryUnavailable(error.message, status=error.status, request=error.request) from error
            return None
        except _LEFT_OUT:
            return None

    def _config(self, digest: str) -> bytes | None:
        try:
            return _config(registry(), (self.repository, digest))
        except RegistryUnavailable as error:
            if not (self.lenient and error.status == HTTPStatus.INTERNAL_SERVER_ERROR):
                raise
            return None


def _says_manifest(entry: Descriptor) -> bool:
    return entry.media_type in {"", *MANIFEST_MEDIA_TYPES}


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
    return min(index.own_size + sum(children[digest].size for digest in index.child_digests), reading.LARGEST_SIZE)


_INCOMPLETE = f"""
WITH RECURSIVE named AS (
    SELECT parent.digest AS parent, parent.size, parent.own_size, child ->> 'digest' AS child,
        known.size AS known_size
    FROM images_manifest AS parent CROSS JOIN jsonb_array_elements(parent.children) AS child
    LEFT JOIN images_manifest AS known ON known.image_id = parent.image_id AND known.digest = child ->> 'digest'
    WHERE parent.image_id = %s
), broken AS (
    SELECT parent FROM named GROUP BY parent, size, own_size
    HAVING bool_or(known_size IS NULL) OR least(own_size + sum(known_size), {reading.LARGEST_SIZE}) <> size
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


# The manifests that were children of an index, and that no index names any more.
_NOBODYS_CHILDREN = """
UPDATE images_manifest SET is_child = false WHERE image_id = %s AND is_child AND digest NOT IN (
    SELECT child ->> 'digest' FROM images_manifest AS parent CROSS JOIN jsonb_array_elements(parent.children) AS child
    WHERE parent.image_id = %s AND child ->> 'digest' IS NOT NULL
)
"""


def clear_child_flags(image: Image) -> None:
    """Take the mark of a child from manifests that no index names any more; the caller holds the image's lock."""
    with connection.cursor() as cursor:
        cursor.execute(_NOBODYS_CHILDREN, [image.pk, image.pk])


def tags_naming(image: Image, digest: str) -> list[str]:
    """For each index that names a manifest and has tags, one of them."""
    tags = Tag.objects.filter(image=image, manifest__children__contains=[{"digest": digest}])
    return list(dict(tags.order_by("name").values_list("manifest", "name")).values())


_DOCUMENTS = """
INSERT INTO images_document (digest, media_type, content, config)
SELECT digest, media_type, content, config::jsonb
FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::text[]) AS read (digest, media_type, content, config)
ON CONFLICT (digest) DO UPDATE SET config = excluded.config
"""
_MANIFESTS = """
INSERT INTO images_manifest (
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
    platforms = excluded.platforms, blobs = excluded.blobs, children = excluded.children,
    artifact_type = excluded.artifact_type, subject = excluded.subject, created_at = excluded.created_at
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
                    one.own_size,
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
