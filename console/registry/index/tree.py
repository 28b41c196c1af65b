"""Read a manifest with its config and, for an index, all its children.

Memory is bounded: parsed manifests are stored in batches, and of the children only the facts that the index shows are
held.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from http import HTTPStatus
from typing import NamedTuple

from console.registry.connection import at_once, registry
from console.registry.index import parse, store
from console.registry.index.parse import Reading
from console.registry.large_content import SMALL_BYTES, content_held, manifest_held, one_at_a_time
from console.repositories.models import Image, Manifest
from registry_client import (
    MANIFEST_MEDIA_TYPES,
    Descriptor,
    DigestMismatch,
    MalformedManifest,
    NotFound,
    RegistryError,
    RegistryUnavailable,
    UnexpectedAnswer,
    UnreadableContent,
)
from registry_client import Manifest as RegistryManifest

# An index may name indexes; longer chains have no legitimate use.
_DEEPEST = 16
# Limits of children that are read of an index, and of manifests for one tag; of the others only digests are listed.
_MOST_CHILDREN = 1000
_MOST_MANIFESTS = 10_000
# A child or a config that is missing or invalid is skipped.
LEFT_OUT = (NotFound, MalformedManifest, UnexpectedAnswer, DigestMismatch)


class TooLarge(Exception):
    """Reading takes longer than the caller wants to wait."""


def _never() -> bool:
    return False


Keep = Callable[[list[Reading]], None]
Opened = Callable[[], AbstractContextManager[RegistryManifest | Descriptor | None]]


class Fact(NamedTuple):
    """Facts about a child for its index; ``platform`` is empty unless the child has exactly one."""

    size: int
    kind: str
    created_at: datetime.datetime | None
    platform: str


def read_whole(
    image: Image,
    digest: str,
    keep: Keep,
    *,
    lenient: bool = False,
    manifest: RegistryManifest | None = None,
    is_over: Callable[[], bool] = _never,
) -> list[Reading]:
    """Read a manifest of an image with all its children (recursively) that are not in the index yet.

    A child or a config that the registry does not have is skipped.

    :param keep: stores a batch of readings; called whenever too much is in memory, never in a transaction.
    :param lenient: whether parts that the registry answers with a server error (500) are skipped, too.
    :param manifest: the manifest itself, if the caller has it.
    :param is_over: whether the caller no longer waits; asked before each child is read.
    :return: the last batch, which is left to be stored.
    :raises registry_client.RegistryError: when the registry fails.
    :raises TooLarge: when ``is_over``; what was read until then is lost, or was stored by ``keep``.
    """
    whole = _Whole(image, keep, lenient, is_over)
    if manifest is None:
        whole.read(lambda: manifest_held(image.repository, digest), _DEEPEST)
    else:
        whole.read(lambda: contextlib.nullcontext(manifest), _DEEPEST)
    return whole.pending


def has_subject(repository: str, digest: str) -> bool:
    """Whether a manifest has a subject.

    :raises registry_client.RegistryError: when it cannot be read.
    """
    with manifest_held(repository, digest) as manifest:
        return bool(replace(manifest).subject_digest)


class _Entry(NamedTuple):
    digest: str
    media_type: str

    @property
    def says_manifest(self) -> bool:
        return _says_manifest(self.media_type)


class _Whole:
    """Reads a manifest with all its children, each digest once."""

    def __init__(self, image: Image, keep: Keep, lenient: bool, is_over: Callable[[], bool]) -> None:
        self.image, self.repository, self.lenient = image, image.repository, lenient
        self.found: dict[str, Fact] = {}
        self.pending: list[Reading] = []
        self._keep, self._is_over = keep, is_over
        self._weight = 0
        self._left = _MOST_MANIFESTS
        self._incomplete: set[str] | None = None

    def read(self, opened: Opened, depth: int) -> Descriptor | bool:
        """Read one manifest, and its children down to ``depth`` levels.

        :return: the descriptor if it is a blob, else whether the manifest exists.
        """
        asked: list[_Entry] = []
        with opened() as content:
            if not isinstance(content, RegistryManifest):
                return content if content is not None else False
            self._left -= 1
            this = parse.read_manifest(content)
            # Against cycles: no child is read as this manifest again.
            self.found[this.digest] = Fact(0, "", None, "")
            if not this.children:
                self._add_config(this)
                self._add(this)
                return True
            if depth:
                asked = [_Entry(one.digest, one.media_type) for one in content.entries[:_MOST_CHILDREN]]
            if len(content.content) <= SMALL_BYTES:
                held = content
                opened = lambda: contextlib.nullcontext(held)  # noqa: E731
        del content, this
        read, blobs = self._read_entries(asked, depth)
        # Large content was freed meanwhile, and is read again.
        with opened() as content:
            if isinstance(content, RegistryManifest):
                self._add(self._index(content, read, blobs))
        return True

    def _index(self, manifest: RegistryManifest, read: set[str], blobs: set[str]) -> Reading:
        """The reading of an index; ``read`` has the digests of entries that were read, ``blobs`` those of blobs."""
        this = parse.read_manifest(manifest)
        named = {
            entry.digest: entry
            for entry in manifest.entries
            if entry.digest not in self.found and (entry.digest in blobs or not _says_manifest(entry.media_type))
        }
        parse.separate_blobs(this, named)
        this.size = this.own_size
        facts = []
        for child in this.children:
            if child["digest"] not in read:
                child[store.SKIPPED] = "yes"
                continue
            known = self.found.get(child["digest"])
            if known is None:
                continue
            facts.append(known)
            # Sizes are user input, and the sum could exceed a bigint.
            this.size = min(this.size + known.size, parse.LARGEST_SIZE)
            if not child["platform"] and "about" not in child:
                child["platform"] = known.platform
        this.platforms = parse.platforms_of(this.children)
        # An index of artifacts (referrers tag schema) is not a multi-platform image.
        if this.kind == Manifest.Kind.INDEX and {one.kind for one in facts} == {Manifest.Kind.ARTIFACT}:
            this.kind = Manifest.Kind.ARTIFACT
        this.created_at = max(filter(None, (one.created_at for one in facts)), default=None)
        return this

    def _read_entries(self, asked: list[_Entry], depth: int) -> tuple[set[str], set[str]]:
        """Read the entries of an index; returns the digests that were read, and which of them are blobs.

        The registry decides what an entry is; its media type only if the registry does not have it.
        """
        self.found.update(self._known([one.digest for one in asked if one.digest not in self.found]))
        layers = [one for one in asked if not one.says_manifest and one.digest not in self.found]
        held = dict(zip(layers, at_once(self._is_blob, layers), strict=True))
        blobs = {one.digest for one, is_blob in held.items() if is_blob}
        read: set[str] = set(blobs)
        for entry in asked:
            if entry.digest not in read and entry.digest not in self.found:
                if not self._left:
                    continue
                if self._is_over():
                    raise TooLarge
                found = self._read_entry(entry, depth)
                if isinstance(found, Descriptor) or not (found or entry.says_manifest):
                    blobs.add(entry.digest)
            read.add(entry.digest)
        return read, blobs

    def _read_entry(self, entry: _Entry, depth: int) -> Descriptor | bool:
        with self._left_out():
            return self.read(lambda: content_held(self.repository, entry.digest, entry.media_type), depth - 1)
        return False

    @contextlib.contextmanager
    def _left_out(self) -> Iterator[None]:
        try:
            yield
        except UnreadableContent as error:
            if error.status == HTTPStatus.INTERNAL_SERVER_ERROR and not self.lenient:
                raise RegistryUnavailable(error.message, status=error.status, request=error.request) from error
        except LEFT_OUT:
            pass

    def _is_blob(self, entry: _Entry) -> bool:
        """Whether the entry is a blob; on an error ``False``, and it is requested as a manifest or blob later."""
        try:
            registry().stat_blob(self.repository, entry.digest)
        except RegistryError:
            return False
        return True

    def _known(self, digests: list[str]) -> dict[str, Fact]:
        """Facts about those of these manifests that are completely in the index."""
        facts, indexes = store.facts(self.image, digests)
        if indexes:
            if self._incomplete is None:
                self._incomplete = store.incomplete(self.image)
            for digest in indexes & self._incomplete:
                del facts[digest]
        return {digest: Fact(*fact) for digest, fact in facts.items()}

    def _add_config(self, this: Reading) -> None:
        wanted = this.config_descriptor
        if wanted is None or not parse.wants_config(this):
            return
        with one_at_a_time() if wanted.size > SMALL_BYTES else contextlib.nullcontext():
            content = self._config(wanted)
            if content is not None:
                parse.add_config(this, content)

    def _config(self, wanted: Descriptor) -> bytes | None:
        try:
            return registry().read_blob(self.repository, wanted.digest, wanted.size)
        except LEFT_OUT:
            return None
        except RegistryUnavailable as error:
            if not (self.lenient and error.status == HTTPStatus.INTERNAL_SERVER_ERROR):
                raise
            return None

    def _add(self, this: Reading) -> None:
        """Add a reading to the batch, and its facts for a parent index; stores the batch when it is large."""
        platform = this.platforms[0] if len(this.platforms) == 1 else ""
        self.found[this.digest] = Fact(this.size, this.kind, this.created_at, platform)
        self.pending.append(this)
        self._weight += this.weight
        if self._weight > store.MOST_BYTES:
            self._keep(self.pending)
            self.pending, self._weight = [], 0


def _says_manifest(media_type: str) -> bool:
    return media_type in {"", *MANIFEST_MEDIA_TYPES}
