"""What the cache holds of an official image, asked of the process that serves nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from console.registry.connection import at_once, hub_inner
from console.registry.large_content import SMALL_BYTES
from console.repositories.tag_order import sort_key
from registry_client import AnswerTooLarge, Descriptor, Manifest, NameUnknown, NotFound

# So many tags, manifests and blobs are looked at: together less than a second's work for the registry.
_MOST_TAGS = 50
_MOST_MANIFESTS = 200
_MOST_BLOBS = 500


@dataclass
class CachedTag:
    """A tag that was pulled through the cache, with those of its platforms that are there whole."""

    name: str
    size: int
    platforms: list[str] = field(default_factory=list)


@dataclass
class Cached:
    """What is there. ``size`` counts in bytes each blob once; ``more`` says that not everything was looked at."""

    tags: list[CachedTag]
    size: int
    more: bool


def read_cached(repository: str) -> Cached:
    """What the cache holds of a repository at this moment.

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
            return None  # the rest of it was removed: it was not pulled for a week

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
    looked_at = list(sizes)[:_MOST_BLOBS]
    there = {digest for digest, is_there in zip(looked_at, at_once(blob, looked_at), strict=True) if is_there}
    tags = [_tag(name, top, known, there) for name, top in tops.items()]
    more = len(names) > len(shown) or len(children) > len(known) or len(sizes) > len(looked_at)
    return Cached([tag for tag in tags if tag.size], sum(sizes[digest] for digest in there), more)


def _stored(image: Manifest) -> list[Descriptor]:
    """What the cache has of an image once it was pulled: clients get foreign layers elsewhere."""
    return [blob for blob in image.blobs if not blob.is_foreign]


def _tag(name: str, top: Manifest, known: dict[str, Manifest | None], there: set[str]) -> CachedTag:
    tag, counted = CachedTag(name, 0), dict[str, int]()
    children = [(child.platform, known.get(child.digest)) for child in top.children] or [(None, top)]
    for platform, image in children:
        blobs = _stored(image) if image else []
        counted |= {blob.digest: blob.size for blob in blobs if blob.digest in there}
        if platform and blobs and all(blob.digest in there for blob in blobs):
            tag.platforms.append(str(platform))
    tag.size = sum(counted.values())
    return tag
