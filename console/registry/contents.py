"""What a repository holds: reading it past what descriptors claim, the tombstone, and removing manifests and blobs."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from http import HTTPStatus
from itertools import islice
from typing import NamedTuple

from console.jobs.outages import is_of_one_tag, is_outage
from console.registry.connection import at_once, registry
from console.registry.large_content import content_held
from console.repositories.failures import DeletesAreOff
from console.repositories.models import Document
from console.repositories.models import Manifest as IndexedManifest
from registry_client import (
    MalformedManifest,
    Manifest,
    ManifestUnknown,
    NameUnknown,
    NotFound,
    RegistryError,
    RegistryUnavailable,
    UnreadableContent,
    Unsupported,
)

log = logging.getLogger(__name__)

TOMBSTONE_MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"
# An index of nothing: it names no blob and no child, so it can be put into any repository as it is.
TOMBSTONE = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],'
    b'"annotations":{"io.my-images.tombstone":"This tag is being deleted."}}'
)
TOMBSTONE_DIGEST = f"sha256:{hashlib.sha256(TOMBSTONE).hexdigest()}"


class NotThereYet(RegistryUnavailable):
    """A tag was pushed just now, and the registry has not pointed it at its manifest yet: look a little later."""


# --- tags -----------------------------------------------------------------------------------------------------------


def tags_of(repository: str) -> list[str]:
    """The tags that the registry lists now; none for a repository that it never had."""
    try:
        return registry().tags(repository)
    except NameUnknown:
        return []


def digest_of(repository: str, tag: str) -> str:
    """The digest that a tag points at in the registry now; empty when there is no such tag.

    Distribution may say once that there is none while the same manifest is pushed under another tag: its links are
    written anew then. So it is believed when it says so twice.
    """
    for _twice in range(2):
        with suppress(ManifestUnknown, NameUnknown):
            return registry().resolve(repository, tag).digest
    return ""


def readable_digest(repository: str, tag: str) -> str | None:
    """The same, or ``None`` for a tag that the registry cannot read although it answers: its link is broken.

    :raises registry_client.RegistryError: when it does not answer.
    """
    try:
        return digest_of(repository, tag)
    except RegistryUnavailable as error:
        if not is_of_one_tag(error):
            raise
        return None


# --- the tombstone --------------------------------------------------------------------------------------------------


def point_at_tombstone(repository: str, tag: str) -> None:
    """Point ``tag`` at the tombstone."""
    registry().put_manifest(repository, tag, TOMBSTONE, TOMBSTONE_MEDIA_TYPE)


def remove_tombstone(repository: str) -> None:
    """Delete the tombstone's digest and with it every tag that points there.

    The registry deletes the digest first and then the tags, one after another. Where it died in between, tags are left
    that point at nothing: so the tombstone is put there once more before.
    """
    registry().put_manifest(repository, TOMBSTONE_DIGEST, TOMBSTONE, TOMBSTONE_MEDIA_TYPE)
    try:
        registry().delete_manifest(repository, TOMBSTONE_DIGEST, missing_ok=True)
    except Unsupported as error:
        raise DeletesAreOff(error.message, status=error.status, code=error.code, request=error.request) from error


def require_deletes(repository: str) -> None:
    """Make sure that the registry deletes, before any tag is pointed at the tombstone.

    :raises registry_client.Unsupported: when it does not (``DeletesAreOff``), or its disk is full.
    """
    remove_tombstone(repository)


def is_tombstone(digest: str) -> bool:
    """Whether a digest is the tombstone's: a tag that points there is being deleted."""
    return digest == TOMBSTONE_DIGEST


# --- manifests and blobs --------------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """What hangs on a digest: what an index names, whatever that is, and the blobs that go with the digest itself."""

    named: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()


# So many lists of digests are held at a time.
PARTS_AT_ONCE = 4


def parts_of_each(repository: str, digests: Iterable[str]) -> Iterator[tuple[str, Parts]]:
    """What hangs on each of these digests, a few of them at a time (``parts_of``)."""
    waiting = iter(digests)
    while some := list(islice(waiting, PARTS_AT_ONCE)):
        yield from zip(some, at_once(lambda digest: parts_of(repository, digest), some), strict=True)


def parts_of(repository: str, digest: str) -> Parts:
    """What hangs on a digest of a repository, from the registry. A blob hangs on itself.

    Nothing where the registry has nothing, or something that it cannot give out.

    :raises registry_client.RegistryError: when the registry fails.
    """
    try:
        with content_held(repository, digest) as content:
            if content is None:
                return Parts()
            if not isinstance(content, Manifest):
                return Parts(blobs=(digest,))
            # What is not JSON names nothing, and is no index either.
            digests = tuple(entry.digest for entry in content.entries)
            return Parts(named=digests) if digests and _is_index(content) else Parts(blobs=digests)
    except UnreadableContent as error:
        log.warning("%s@%s cannot be read: %s", repository, digest, error)
        return Parts()


def _is_index(manifest: Manifest) -> bool:
    """Of one with more values than are parsed, and of no known type, what it names are taken for blobs."""
    try:
        return manifest.is_index
    except MalformedManifest:
        return False


def remove(repository: str, *, manifests: Iterable[str] = (), blobs: Iterable[str] = ()) -> list[str]:
    """Delete manifests, with every tag that points at them, and the repository's links to blobs; what is gone is fine.

    A damaged link of one digest must not keep all others from being removed: what the registry refuses to delete while
    it deletes something else in the same repository is left.

    :return: the digests that are left.
    :raises registry_client.RegistryError: when the registry deletes nothing at all.
    """
    left = _remove(repository, sorted(set(blobs)), _delete_blob)
    return left + _remove(repository, sorted(set(manifests)), _delete_manifest)


def _delete_manifest(repository: str, digest: str) -> None:
    registry().delete_manifest(repository, digest, missing_ok=True)


def _delete_blob(repository: str, digest: str) -> None:
    registry().delete_blob(repository, digest, missing_ok=True)


def stored_manifest(repository: str, digest: str) -> tuple[bytes, str] | None:
    """The bytes of a manifest that the index has, and the media type that it has in this repository.

    The bytes are the same wherever the digest is; another repository may have been pushed them as something else.
    """
    found = (
        IndexedManifest.objects.filter(image__full_name=repository, digest=digest)
        .values_list("media_type", flat=True)
        .first()
    )
    document = Document.objects.filter(digest=digest).first()
    if document is None:
        return None
    return bytes(document.content), found or document.media_type


def mend(repository: str, digests: Iterable[str]) -> None:
    """Store manifests once more whose links are broken, as far as the index has their bytes.

    To be called before their blobs are removed, without which the registry does not take them.
    """

    def is_broken(digest: str) -> bool:
        try:
            registry().resolve(repository, digest)
        except NotFound:
            return False
        except RegistryError as error:
            if is_outage(error):
                raise
            return True
        return False

    digests = list(digests)
    for digest, broken in zip(digests, at_once(is_broken, digests), strict=True):
        if broken:
            _mend(repository, digest)


def _remove(repository: str, digests: list[str], delete: Callable[[str, str], None]) -> list[str]:
    def attempt(digest: str) -> RegistryError | None:
        try:
            delete(repository, digest)
        except RegistryError as error:
            # Distribution 2.8: 500 for a blob whose link is broken, 400 DIGEST_INVALID for such a manifest.
            if error.status not in {HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR}:
                raise
            return error
        return None

    failed = {digest: error for digest, error in zip(digests, at_once(attempt, digests), strict=True) if error}
    left = []
    for digest, error in failed.items():
        remove_tombstone(repository)  # raises where the registry deletes nothing
        if not _mend(repository, digest) or attempt(digest) is not None:
            log.error("%s@%s cannot be deleted from the registry: %s", repository, digest, error)
            left.append(digest)
    return left


def _mend(repository: str, digest: str) -> bool:
    """Store a manifest once more, whose link is broken, if the index has its bytes; whether that was possible."""
    stored = stored_manifest(repository, digest)
    if stored is None:
        return False
    try:
        registry().put_manifest(repository, digest, *stored)
    except RegistryError as error:
        if is_outage(error):
            raise
        return False
    return True
