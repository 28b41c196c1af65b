"""What a registry answers with, as values: descriptors, platforms, manifests.

A manifest is whatever somebody pushed. Its content is read when it is asked about, and everything in it is doubted:
whoever asks gets a value of the type that is promised, or :class:`MalformedManifest`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from registry_client.errors import InvalidName, MalformedManifest
from registry_client.json_documents import MOST_SEPARATORS, TooManyValues, parse
from registry_client.media_types import FOREIGN_LAYERS, IMAGE_MEDIA_TYPES, INDEX_MEDIA_TYPES
from registry_client.names import Digest

_LARGEST_SIZE = (1 << 63) - 1
# Finds what a manifest names without parsing it.
_NAMED = re.compile(rb'"digest"\s*:\s*"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})"')


@dataclass(frozen=True)
class Descriptor:
    """Points at content: its digest, its media type and its size in bytes (OCI image specification, "Descriptor").

    ``urls`` are further places to get it from; a registry stores a manifest that names content with some of them also
    when it does not have the content.
    """

    digest: str
    media_type: str
    size: int
    urls: tuple[str, ...] = ()

    @property
    def is_foreign(self) -> bool:
        """Whether it is a layer that clients download from its ``urls`` and that need not be in the registry."""
        return bool(self.urls) and self.media_type in FOREIGN_LAYERS


@dataclass(frozen=True)
class Platform:
    """What an image runs on; ``str()`` of it is Docker's way to write it, ``linux/arm64/v8``."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True)
class Child:
    """A manifest that an index names: where it is, what it runs on, what is noted about it."""

    descriptor: Descriptor
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def digest(self) -> str:
        """The child's digest."""
        return self.descriptor.digest


@dataclass(frozen=True)
class Manifest:
    """A manifest as it was pushed. What is asked of broken ``content`` raises ``MalformedManifest``."""

    repository: str
    digest: str
    media_type: str
    content: bytes = field(repr=False)

    @cached_property
    def is_index(self) -> bool:
        """Whether it names other manifests instead of layers. The media type decides where it is a known one."""
        if self.media_type in INDEX_MEDIA_TYPES:
            return True
        return self.media_type not in IMAGE_MEDIA_TYPES and "manifests" in self._document

    @cached_property
    def config(self) -> Descriptor | None:
        """The image's configuration; ``None`` for an index."""
        return None if self.is_index else self._descriptor("config")

    @cached_property
    def layers(self) -> tuple[Descriptor, ...]:
        """The image's layers, the lowest first; none for an index."""
        return () if self.is_index else tuple(_descriptor(entry) for entry in self._list("layers"))

    @cached_property
    def children(self) -> tuple[Child, ...]:
        """The manifests an index names; none for an image."""
        return tuple(_child(entry) for entry in self._list("manifests")) if self.is_index else ()

    @cached_property
    def subject(self) -> Descriptor | None:
        """The manifest this one says something about, as a signature does."""
        return self._descriptor("subject")

    @property
    def subject_digest(self) -> str:
        """The digest of the subject as far as it can be read; empty without one. Raises nothing."""
        try:
            subject = _lenient_descriptor(self._document.get("subject"))
        except MalformedManifest:
            return ""
        return subject.digest if subject else ""

    @cached_property
    def artifact_type(self) -> str | None:
        """What kind of artifact it is, if it says so."""
        value = self._document.get("artifactType")
        return None if value is None else _text(value)

    @cached_property
    def annotations(self) -> Mapping[str, str]:
        """What is noted about it."""
        return _annotations(self._document)

    @cached_property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The configuration and the layers of an image; none for an index."""
        return (*([self.config] if self.config else []), *self.layers)

    @cached_property
    def references(self) -> tuple[str, ...]:
        """The digests that it names, each once: of an image its blobs, of an index its children."""
        if self.is_index:
            return tuple(dict.fromkeys(child.digest for child in self.children))
        return tuple(dict.fromkeys(blob.digest for blob in self.blobs))

    @cached_property
    def entries(self) -> tuple[Descriptor, ...]:
        """Everything that it says must be there with it: config and layers, or what an index lists, each digest once.

        For finding, copying or deleting all of it, however odd it is: nothing is raised. What is not a
        descriptor with a digest is left out, a size that cannot be true is 0, a media type that is no text is empty.
        An entry may be something else than its media type says (``RegistryClient.content_of``). Of a manifest with more
        values than are parsed, it is every digest in it, without sizes and media types.
        """
        try:
            document, index = self._document, self.is_index
        except MalformedManifest:
            return self._named if self.has_too_many_values else ()
        values = [] if index else [document.get("config")]
        listed = document.get("manifests" if index else "layers")
        values += listed if isinstance(listed, list) else []
        found = (_lenient_descriptor(value) for value in values)
        return tuple({one.digest: one for one in found if one is not None}.values())

    @property
    def has_too_many_values(self) -> bool:
        """Whether it is not read because it has too many values (``json_documents``); its ``entries`` are found."""
        try:
            _ = self._document
        except MalformedManifest as error:
            return isinstance(error.__cause__, TooManyValues)
        return False

    @property
    def _named(self) -> tuple[Descriptor, ...]:
        found = dict.fromkeys(match[1] for match in _NAMED.finditer(self.content))
        return tuple(Descriptor(Digest(digest.decode()), "", 0) for digest in found)

    @property
    def names_all_entries(self) -> bool:
        """Whether everything that it lists has a digest; a registry refuses a manifest of which something has none."""
        listed = self._document.get("manifests" if self.is_index else "layers")
        values = listed if isinstance(listed, list) else [listed] * (listed is not None)
        return all(_lenient_descriptor(value) is not None for value in values)

    @cached_property
    def total_size(self) -> int:
        """Bytes of an image's configuration and layers, foreign ones left out; 0 for an index, which has none."""
        total = sum(blob.size for blob in self.blobs if not blob.is_foreign)
        if total > _LARGEST_SIZE:
            raise MalformedManifest("the manifest's sizes are beyond belief")
        return total

    @cached_property
    def _document(self) -> dict[str, Any]:
        try:
            document = parse(self.content)
        except TooManyValues as error:
            message = f"the manifest has more than {MOST_SEPARATORS:,} values, which is more than is read of one"
            raise MalformedManifest(message) from error
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise MalformedManifest("the manifest is not a JSON object")
        return document

    def _list(self, key: str) -> list[Any]:
        value = self._document.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise MalformedManifest(f"the manifest's {key} are not a list")
        return value

    def _descriptor(self, key: str) -> Descriptor | None:
        value = self._document.get(key)
        return None if value is None else _descriptor(value)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedManifest("a part of the manifest is not a JSON object")
    return value


def _text(value: Any) -> str:
    """A string that can be stored and sent: JSON can also write halves of characters and NUL."""
    if not isinstance(value, str) or "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise MalformedManifest("a part of the manifest is not a text")
    return value


def _descriptor(value: Any) -> Descriptor:
    entry = _object(value)
    size = entry.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST_SIZE:
        raise MalformedManifest("a descriptor of the manifest has no size")
    try:
        digest = Digest(entry.get("digest", ""))
    except InvalidName:
        raise MalformedManifest("a descriptor of the manifest has no digest") from None
    return Descriptor(digest, _text(entry.get("mediaType", "")), size, _urls(entry.get("urls")))


def _urls(value: Any) -> tuple[str, ...]:
    """The addresses of a descriptor; what is none is left out, for nothing here depends on it."""
    texts = value if isinstance(value, list) else []
    return tuple(url for url in texts if isinstance(url, str) and url.isprintable())


def _lenient_descriptor(value: Any) -> Descriptor | None:
    """The descriptor in ``value`` as far as it can be read; ``None`` without a digest."""
    if not isinstance(value, dict):
        return None
    try:
        digest = Digest(value.get("digest", ""))
    except InvalidName:
        return None
    size, media_type = value.get("size"), ""
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST_SIZE:
        size = 0
    with suppress(MalformedManifest):
        media_type = _text(value.get("mediaType", ""))
    return Descriptor(digest, media_type, size, _urls(value.get("urls")))


def _child(value: Any) -> Child:
    entry = _object(value)
    platform = entry.get("platform")
    return Child(_descriptor(entry), None if platform is None else _platform(platform), _annotations(entry))


def _platform(value: Any) -> Platform:
    entry = _object(value)
    return Platform(*(_text(entry.get(key) or "") for key in ("os", "architecture", "variant")))


def _annotations(entry: dict[str, Any]) -> Mapping[str, str]:
    value = entry.get("annotations")
    pairs = {} if value is None else _object(value)
    return MappingProxyType({_text(key): _text(pair) for key, pair in pairs.items()})
