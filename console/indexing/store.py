"""Writing down what was read: documents once for each digest, manifests once for each image and digest."""

from __future__ import annotations

from collections.abc import Iterable

from console.images.models import Document, Image, Manifest
from console.indexing import reading
from console.indexing.reading import Reading
from console.registry import registry
from registry_client import MalformedManifest, NotFound, UnexpectedAnswer
from registry_client import Manifest as RegistryManifest

# An index may name indexes; a chain longer than this is somebody's joke.
_DEEPEST = 3
_MOST_CHILDREN = 1000


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
        except (NotFound, UnexpectedAnswer):
            pass
    for child in this.children[:_MOST_CHILDREN]:
        known = found.get(child["digest"]) or (
            _read_child(repository, child["digest"], found, depth) if depth else None
        )
        if known is None:
            continue
        this.size += known.size
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
    except (NotFound, MalformedManifest, UnexpectedAnswer):
        return None


def is_read(image: Image, digest: str) -> Manifest | None:
    """The image's row for a manifest that was read to its end before; a digest never changes what it means."""
    row = Manifest.objects.filter(image=image, digest=digest).exclude(kind=Manifest.Kind.UNREAD).first()
    if row is None or not Document.objects.filter(digest=digest).exists():
        return None
    known = set(row.child_digests)
    if known and Manifest.objects.filter(image=image, digest__in=known).count() < len(known):
        return None  # a child was not there, and may be now
    return row


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
