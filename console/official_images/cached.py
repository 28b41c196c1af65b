"""The content of the cache for an official image, read from the registry process that does not contact Docker Hub."""

from __future__ import annotations

from dataclasses import dataclass, field

from console.registry.connection import at_once, hub_inner
from console.registry.large_content import SMALL_BYTES
from console.repositories.tag_order import sort_key
from registry_client import AnswerTooLarge, Descriptor, Manifest, NameUnknown, NotFound

# Limits of tags, manifests and blobs to check: together less than a second of work for the registry.
_MOST_TAGS = 50
_MOST_MANIFESTS = 200
_MOST_BLOBS = 500


@dataclass
class CachedTag:
    """A tag in the cache, with the platforms that are completely cached."""

    name: str
    size: int
    platforms: list[str] = field(default_factory=list)


@dataclass
class Cached:
    """Cached tags. ``size`` counts each blob once, in bytes; ``more`` says that limits were reached."""

    tags: list[CachedTag]
    size: int
    more: bool


def read_cached(repository: str) -> Cached:
    """Read what the cache currently has of a repository.

    :raises registry_client.RegistryError: when the cache does not answer.
    """
    client = hub_inner()
    try:
        names = sorted(client.tags(repository), key=sort_key)
    except NameUnknown:
        return Cached([], 0, False)

    def manifest(reference: str) -> Manifest | None:
        try:
            return client.manifest(repository, reference, limit=SMALL_BYTES)
        except (NotFound, AnswerTooLarge):
            return None  # evicted from the cache, because it was not pulled for a week

    def blob(digest: str) -> bool:
        try:
            client.stat_blob(repository, digest)
        except NotFound:
            return False
        return True

    shown = names[:_MOST_TAGS]
    tops = {name: top for name, top in zip(shown, at_once(manifest, shown), strict=True) if top}
    children = list(dict.fromkeys(child.digest for top in tops.values() for child in top.children))
    known = dict(zip(children, at_once(manifest, children[:_MOST_MANIFESTS]), strict=False))
    images = [top for top in tops.values() if not top.is_index] + [one for one in known.values() if one]
    sizes = {blob.digest: blob.size for image in images for blob in _stored(image)}
    checked = list(sizes)[:_MOST_BLOBS]
    cached = {digest for digest, is_cached in zip(checked, at_once(blob, checked), strict=True) if is_cached}
    tags = [_tag(name, top, known, cached) for name, top in tops.items()]
    more = len(names) > len(shown) or len(children) > len(known) or len(sizes) > len(checked)
    return Cached([tag for tag in tags if tag.size], sum(sizes[digest] for digest in cached), more)


def _stored(image: Manifest) -> list[Descriptor]:
    """The blobs of an image that the cache stores; foreign layers are downloaded from elsewhere."""
    return [blob for blob in image.blobs if not blob.is_foreign]


def _tag(name: str, top: Manifest, known: dict[str, Manifest | None], cached: set[str]) -> CachedTag:
    tag, counted = CachedTag(name, 0), dict[str, int]()
    children = [(child.platform, known.get(child.digest)) for child in top.children] or [(None, top)]
    for platform, image in children:
        blobs = _stored(image) if image else []
        counted |= {blob.digest: blob.size for blob in blobs if blob.digest in cached}
        if platform and blobs and all(blob.digest in cached for blob in blobs):
            tag.platforms.append(str(platform))
    tag.size = sum(counted.values())
    return tag
