"""Remove manifests and the repository's links to their blobs, as many at a time as fit in memory.

The client that pushes decides how many digests a manifest names: a hundred manifests may name a million blobs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus

from console.jobs.outages import is_outage
from console.registry.connection import at_once, registry
from console.registry.contents import stored_manifest
from console.registry.deletion.named import Parts
from console.registry.tombstone import remove_tombstone
from console.repositories import failures
from registry_client import NotFound, RegistryError

log = logging.getLogger(__name__)

# A piece has so many manifests at most, which name so many digests; one manifest may name more.
MANIFESTS_AT_ONCE = 100
MOST_DIGESTS = 50_000


def pieces(found: Iterable[tuple[str, Parts]]) -> Iterator[dict[str, Parts]]:
    """The same digests and what they name, as many at a time as fit in memory."""
    piece, held = dict[str, Parts](), 0
    for digest, parts in found:
        count = len(parts.named) + len(parts.blobs)
        if piece and (held + count > MOST_DIGESTS or len(piece) >= MANIFESTS_AT_ONCE):
            yield piece
            piece, held = {}, 0
        piece[digest] = parts
        held += count
    if piece:
        yield piece


class Removal:
    """Removes pieces of one repository; a blob that several of them name is usually unlinked once."""

    def __init__(self, repository: str) -> None:
        self._repository = repository
        self._unlinked = set[str]()

    def remove(self, manifests: Iterable[str], blobs: Iterable[str] = ()) -> None:
        """Remove manifests, with every tag that points at them, and the repository's links to blobs; idempotent.

        Without the links, the next owner of the name cannot read the blobs, not even by their digests. Other
        repositories keep them. The manifests go last: after a failure they still name what is left.

        A damaged link of one digest does not stop the others: what the registry refuses to delete, while it deletes
        other digests of the repository, is recorded and left (``failures.leave_behind``).

        :raises registry_client.RegistryError: when the registry fails or deletes nothing at all; calling again resumes.
        """
        unlinked = set(blobs) - self._unlinked
        left = _remove(self._repository, sorted(unlinked), _delete_blob)
        left += _remove(self._repository, sorted(set(manifests)), _delete_manifest)
        if len(self._unlinked) > MOST_DIGESTS:
            self._unlinked.clear()  # removing a link twice does no harm
        self._unlinked.update(unlinked)
        failures.leave_behind(self._repository, left)


def _delete_manifest(repository: str, digest: str) -> None:
    registry().delete_manifest(repository, digest, missing_ok=True)


def _delete_blob(repository: str, digest: str) -> None:
    registry().delete_blob(repository, digest, missing_ok=True)


def _remove(repository: str, digests: list[str], delete: Callable[[str, str], None]) -> list[str]:
    """Delete each of these digests; the ones that the registry refuses to delete."""

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
        if not _repair(repository, digest) or attempt(digest) is not None:
            log.error("%s@%s cannot be deleted from the registry: %s", repository, digest, error)
            left.append(digest)
    return left


def repair_manifests(repository: str, digests: Iterable[str]) -> None:
    """Store manifests again whose links are broken, as far as the index has their bytes.

    To be called before their blobs are removed: the registry takes no manifest whose blobs it lacks.

    :raises registry_client.RegistryError: when the registry does not answer.
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
            _repair(repository, digest)


def _repair(repository: str, digest: str) -> bool:
    """Store a manifest again whose link is broken, if the index has its bytes; whether that was possible."""
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
