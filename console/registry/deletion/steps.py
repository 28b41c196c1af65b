"""Steps that all deletions share: batches, time slices, reading tags, and untagging."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from console.registry.connection import at_once
from console.registry.contents import readable_digest
from console.registry.tombstone import is_tombstone, point_at_tombstone, remove_tombstone

T = TypeVar("T")

# Tags that go with one removal of the tombstone. The registry removes them one after another before it answers, which
# takes a second or two.
UNTAGGED_AT_ONCE = 500


class StillBusy(Exception):
    """Tags are pushed faster than they can be removed: the deletion is retried later."""


class TurnOver(Exception):
    """The turn (time slice) is over and the work is not finished: the next call resumes it."""


def never() -> bool:
    """For work that has no time slice."""
    return False


def raise_if_over(turn_over: Callable[[], bool]) -> None:
    """Give up the turn when it is over.

    :raises TurnOver: when it is.
    """
    if turn_over():
        raise TurnOver


def batches(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """The same rows in lists of up to ``size``."""
    rows = iter(rows)
    while batch := list(islice(rows, size)):
        yield batch


def read_tags(repository: str, tags: Iterable[str]) -> dict[str, str | None]:
    """Read what tags point at in the registry now.

    :return: each tag with its digest: empty when the tag or its manifest is gone, ``None`` when its link is broken.
    :raises registry_client.RegistryError: when the registry does not answer.
    """
    names = list(tags)
    return dict(zip(names, at_once(lambda tag: readable_digest(repository, tag), names), strict=True))


def moved_tags(repository: str, expected: Mapping[str, str]) -> dict[str, str]:
    """Find the tags that were pushed again since they were read.

    :param expected: each tag with the digest that it pointed at.
    :return: those that point at another digest now, other than the tombstone's, with that digest.
    :raises registry_client.RegistryError: when the registry does not answer.
    """
    found = read_tags(repository, expected)
    return {tag: digest for tag, digest in found.items() if digest and _is_moved(digest, expected[tag])}


def _is_moved(digest: str, expected: str) -> bool:
    return digest != expected and not is_tombstone(digest)


class Untagging:
    """Removes tags of one repository, a batch at a time.

    Each removal of the tombstone makes the registry read all tags of the repository, so batches share one.
    """

    def __init__(self, repository: str) -> None:
        self._repository = repository
        self._waiting = 0

    def add(self, tags: Iterable[str], expected: Mapping[str, str] | None = None) -> dict[str, str]:
        """Point a batch of tags at the tombstone, which is removed once some hundred tags point at it.

        :param expected: tags with their digests; a tag that points at another digest now is left alone. Each is read
            immediately before it is changed, which keeps the race with a push as short as possible.
        :return: the tags that are left alone, with the digests that they point at.
        :raises registry_client.RegistryError: when the registry fails; calling again resumes.
        """
        batch, wanted = list(tags), expected or {}

        def point(tag: str) -> str | None:
            if tag in wanted:
                present = readable_digest(self._repository, tag)
                # A broken link is repaired by the tombstone.
                if present and _is_moved(present, wanted[tag]):
                    return present
            point_at_tombstone(self._repository, tag)
            return None

        found = zip(batch, at_once(point, batch), strict=True)
        self._waiting += len(batch)
        if self._waiting >= UNTAGGED_AT_ONCE:
            self.finish()
        return {tag: digest for tag, digest in found if digest is not None}

    def finish(self) -> None:
        """Remove the tombstone, and with it the tags that point at it; also those that an earlier run has left."""
        remove_tombstone(self._repository)
        self._waiting = 0


def untag(repository: str, tags: Iterable[str], expected: Mapping[str, str] | None = None) -> dict[str, str]:
    """Remove one batch of tags; arguments, return value and exceptions are those of ``Untagging.add``."""
    untagging = Untagging(repository)
    left = untagging.add(tags, expected)
    untagging.finish()
    return left
