"""Writing down what was read: documents once for each digest, manifests once for each image and digest."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from console.images.models import Document, Image, Manifest
from console.indexing import reading
from console.indexing.reading import Reading
from console.registry import registry
from registry_client import DigestMismatch, MalformedManifest, NotFound, UnexpectedAnswer
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


def read_before(image: Image, digests: Iterable[str]) -> set[str]:
    """Which of these manifests, that name no others, were read to their end before (as ``is_read`` for one)."""
    digests = list(digests)
    documents = set(Document.objects.filter(digest__in=digests).values_list("digest", flat=True))
    rows = Manifest.objects.filter(image=image, digest__in=documents).exclude(kind=Manifest.Kind.UNREAD)
    return set(rows.values_list("digest", flat=True))


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
"""  # noqa: S608


def incomplete(image: Image) -> set[str]:
    """The digests of indexes that name something, at any depth, which was not there when they were read."""
    with connection.cursor() as cursor:
        cursor.execute(_INCOMPLETE, [image.pk])
        return {digest for (digest,) in cursor.fetchall()}


def store(image: Image, readings: Iterable[Reading]) -> Manifest:
    """Write the readings down; the row of the first of them."""
    readings = list(readings)
    # In a settled order: two images that share manifests may be read at once.
    ordered = sorted(readings, key=lambda one: one.digest)
    Document.objects.bulk_create(
        [
            Document(digest=one.digest, media_type=one.media_type, content=one.content, config=one.config)
            for one in ordered
        ],
        update_conflicts=True,
        unique_fields=["digest"],
        update_fields=["config"],
    )
    Manifest.objects.bulk_create(
        [
            Manifest(
                image=image,
                digest=one.digest,
                media_type=one.media_type,
                kind=one.kind,
                size=one.size,
                platforms=one.platforms,
                blobs=one.blobs,
                children=one.children,
                artifact_type=one.artifact_type,
                subject=one.subject,
                created_at=one.created_at,
            )
            for one in ordered
        ],
        update_conflicts=True,
        unique_fields=["image", "digest"],
        update_fields=[
            "media_type", "kind", "size", "platforms", "blobs", "children", "artifact_type", "subject", "created_at",
        ],
    )  # fmt: skip
    named = {child["digest"] for one in readings for child in one.children}
    if named:
        Manifest.objects.filter(image=image, digest__in=named, is_child=False).update(is_child=True)
    return Manifest.objects.get(image=image, digest=readings[0].digest)
