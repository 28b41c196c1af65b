"""Removing manifests from a repository, with its links to their blobs, as many at a time as can be held in memory.

How many digests a manifest names, the client that pushes decides: a hundred manifests may name a million blobs. An
image is deleted and a repository cleared (``deletion``, ``clearing``) in pieces, by these steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from console.registry.contents import Parts, remove
from console.repositories import failures

T = TypeVar("T")

# A piece has so many manifests at most, which name so many digests; one manifest may name more.
MANIFESTS_AT_ONCE = 100
MOST_DIGESTS = 50_000


def batches(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """The same rows, ``size`` at a time."""
    rows = iter(rows)
    while batch := list(islice(rows, size)):
        yield batch


def pieces(found: Iterable[tuple[str, Parts]]) -> Iterator[dict[str, Parts]]:
    """The same digests and what hangs on them, as many at a time as can be held in memory."""
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

    def remove(self, manifests: Iterable[str], blobs: Iterable[str]) -> None:
        """Delete manifests and the repository's links to blobs; what the registry cannot delete is recorded and left.

        Without the links, whoever gets the name next cannot read the blobs, even knowing their digests. The blobs stay
        for every other repository that has them. The manifests go last: after a failure they still name what is left.

        :raises registry_client.RegistryError: when the registry fails; calling again goes on from there.
        """
        blobs = set(blobs) - self._unlinked
        left = remove(self._repository, manifests=manifests, blobs=blobs)
        if len(self._unlinked) > MOST_DIGESTS:
            self._unlinked.clear()  # removing one once more does no harm
        self._unlinked.update(blobs)
        failures.leave_behind(self._repository, left)
