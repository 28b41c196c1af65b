"""Removing what an old token pushed to a name that changes hands: freed, or on its way to another account."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from console.audit.services import record
from console.jobs.outages import is_outage
from console.registry.connection import at_once, registry
from console.registry.contents import (
    bury_tag,
    digest_of,
    is_tombstone,
    parts_of_each,
    readable_digest,
    remove,
    remove_tombstone,
    stored_manifest,
    tags_of,
)
from console.registry.index.models import Hint
from console.repositories import failures, pushed
from console.repositories.models import Image, Manifest, PushedDigest, Tag, WorkFailure
from registry_client import RegistryError, is_digest


def clear(repository: str) -> int:
    """Delete all that is known to lie in a repository that has no image.

    That is what tags name, what was pushed by digest, and what these name. The links to the blobs go too, so that
    whoever gets the name next cannot read them, even knowing their digests. What the registry cannot read or delete,
    because its storage is damaged, cannot be pulled either: it is recorded and left.

    :return: how many manifests there were.
    :raises registry_client.RegistryError: when the registry fails; calling again goes on from there.
    """
    tags = tags_of(repository)
    found = dict(zip(tags, at_once(lambda tag: readable_digest(repository, tag), tags), strict=True))
    _remove_tags(repository, [tag for tag, digest in found.items() if digest is None])
    digests = set(PushedDigest.objects.filter(repository=repository).values_list("digest", flat=True))
    digests |= {digest for digest in found.values() if digest}
    if not digests:
        return 0
    count = _remove_with_all_below(repository, digests, set())
    record("image.clear", repository, tags=len(tags), manifests=count)
    return count


def undo_pushes(image: Image, since: datetime.datetime) -> int:
    """Take back what was pushed to an image that changes hands, after its index was last brought up to date.

    Tags that the index does not know are removed, tags that it has elsewhere are pointed where it has them, and
    manifests that were pushed since ``since`` and are in no index row are deleted with their blobs. What was pushed
    before and is not indexed yet, or cannot be indexed, stays with all that it names.

    :return: how many tags and manifests were removed or pointed back.
    :raises registry_client.RegistryError: when the registry fails; calling again goes on from there.
    """
    repository = image.repository
    indexed = dict(Tag.objects.filter(image=image).values_list("name", "manifest__digest"))
    tags = tags_of(repository)
    found = dict(zip(tags, at_once(lambda tag: readable_digest(repository, tag), tags), strict=True))
    earlier = _pushed_before(repository, found, since)
    strangers = [tag for tag in tags if tag not in indexed and tag not in earlier]
    moved = [
        tag
        for tag, now in found.items()
        if tag in indexed and now and now != indexed[tag] and not is_tombstone(now) and tag not in earlier
    ]
    fresh = pushed.unindexed(image).filter(told_at__gte=since)
    digests = set(fresh.values_list("digest", flat=True))
    digests |= {now for tag in (*strangers, *moved) if (now := found[tag]) and not is_tombstone(now)}
    own = set(Manifest.objects.filter(image=image).values_list("digest", flat=True))
    waiting, waiting_blobs = _with_all_below(repository, set(earlier.values()) - own, own)
    own |= waiting
    lost = [tag for tag in moved if not _point_back(repository, tag, indexed[tag])]
    _remove_tags(repository, [*strangers, *lost])
    kept_blobs = _blobs_of(image) | waiting_blobs
    count = _remove_with_all_below(repository, digests - own, own, kept_blobs) if digests - own else 0
    if strangers or moved or count:
        record("image.clear", repository, tags=len(strangers) + len(moved), manifests=count)
    return len(strangers) + len(moved) + count


def has_push_since(repository: str, since: datetime.datetime) -> bool:
    """Whether a push to the repository is known that was made after ``since``."""
    hints = Hint.objects.filter(repository=repository)
    if hints.filter(pushed_at__gt=since).exists():
        return True
    # A notification may be late: the hint says when the push itself was.
    told = PushedDigest.objects.filter(repository=repository, told_at__gt=since)
    return told.exclude(digest__in=hints.filter(pushed_at__lte=since).values("digest")).exists()


def _pushed_before(repository: str, found: dict[str, str | None], since: datetime.datetime) -> dict[str, str]:
    """What was pushed before ``since`` and is not indexed: by its tag or digest, the digest, empty if unreadable.

    The index has not followed the notification yet, or has given up reading the tag.

    :param found: the digest of each tag in the registry now.
    """
    hints = Hint.objects.filter(repository=repository, pushed_at__lte=since)
    earlier = {
        name: digest
        for name, digest in hints.values_list("tag", "digest")
        # Another digest under the tag is a later push.
        if is_digest(name) or found.get(name) in {digest, None} or not digest
    }
    told = PushedDigest.objects.filter(repository=repository, told_at__gt=since)
    told_since = set(told.values_list("digest", flat=True))
    given_up = WorkFailure.objects.filter(kind=WorkFailure.Kind.INDEX, repository=repository)
    for name, first_at in given_up.filter(given_up_at__isnull=False).values_list("reference", "first_at"):
        digest = name if is_digest(name) else found.get(name) or ""
        # It was pushed with an old token only if its push was notified, and failed, since then.
        if first_at <= since or digest not in told_since:
            earlier.setdefault(name, digest)
    return {name: digest or found.get(name) or "" for name, digest in earlier.items()}


def _point_back(repository: str, tag: str, digest: str) -> bool:
    """Point a tag at a manifest that the index has; whether the registry takes it."""
    stored = stored_manifest(repository, digest)
    if stored is None:
        return False
    try:
        registry().put_manifest(repository, tag, *stored)
    except RegistryError as error:
        if is_outage(error):
            raise
        return False  # what it names was deleted
    return digest_of(repository, tag) == digest


def _blobs_of(image: Image) -> set[str]:
    rows = Manifest.objects.filter(image=image).values_list("blobs", flat=True)
    return {blob for blobs in rows.iterator() for blob in blobs}


def _remove_tags(repository: str, tags: list[str]) -> None:
    if tags:
        at_once(lambda tag: bury_tag(repository, tag), tags)
        remove_tombstone(repository)


def _with_all_below(repository: str, digests: set[str], kept: set[str]) -> tuple[set[str], set[str]]:
    """These digests with all that they name and is not in ``kept``, and the blobs of all of it."""
    fresh, found, blobs = digests - kept - {""}, set[str](), set[str]()
    while fresh:
        found |= fresh
        named = set[str]()
        for _digest, parts in parts_of_each(repository, sorted(fresh)):
            blobs.update(parts.blobs)
            named.update(parts.named)
        fresh = named - found - kept
    return found, blobs


def _remove_with_all_below(repository: str, digests: set[str], kept: set[str], kept_blobs: Iterable[str] = ()) -> int:
    """Delete manifests with all that they name and is not to be kept; how many there were."""
    found, blobs = _with_all_below(repository, digests, kept)
    # Written down before anything goes: what only an index named would not be found again.
    pushed.remember((repository, digest) for digest in found)
    blobs -= {*kept_blobs, *kept}
    failures.leave_behind(repository, remove(repository, manifests=found - {*kept_blobs}, blobs=blobs))
    PushedDigest.objects.filter(repository=repository, digest__in=found).delete()
    return len(found)
