"""Values in a registry's responses: descriptors, platforms, manifests.

A manifest is untrusted user input. It is parsed lazily and validated: each property has a value of the documented type,
or raises :class:`MalformedManifest`.
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
from registry_client.json_documents import MOST_SEPARATORS, TooManyValues, is_storable, parse
from registry_client.media_types import FOREIGN_LAYERS, IMAGE_MEDIA_TYPES, INDEX_MEDIA_TYPES
from registry_client.names import Digest

_LARGEST_SIZE = (1 << 63) - 1
# Finds the digests in a manifest without parsing it.
_NAMED = re.compile(rb'"digest"\s*:\s*"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})"')


@dataclass(frozen=True)
class Descriptor:
    """A content descriptor: digest, media type and size in bytes (OCI image specification, "Descriptor").

    ``urls`` are further download locations; for content with URLs a registry accepts a manifest even if it does not
    have the content.
    """

    digest: str
    media_type: str
    size: int
    urls: tuple[str, ...] = ()

    @property
    def is_foreign(self) -> bool:
        """Whether it is a foreign layer: clients download it from its ``urls``, and the registry may not have it."""
        return bool(self.urls) and self.media_type in FOREIGN_LAYERS


@dataclass(frozen=True)
class Platform:
    """The platform of an image; ``str()`` is Docker's notation, ``linux/arm64/v8``."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True)
class Child:
    """A child of an index: its descriptor, platform and annotations."""

    descriptor: Descriptor
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def digest(self) -> str:
        """The child's digest."""
        return self.descriptor.digest


@dataclass(frozen=True)
class Manifest:
    """A manifest as pushed. With malformed ``content`` the properties raise ``MalformedManifest``."""

    repository: str
    digest: str
    media_type: str
    content: bytes = field(repr=False)

    @cached_property
    def is_index(self) -> bool:
        """Whether it names other manifests instead of layers. A known media type decides; otherwise the content."""
        if self.media_type in INDEX_MEDIA_TYPES:
            return True
        return self.media_type not in IMAGE_MEDIA_TYPES and "manifests" in self._document

    @cached_property
    def config(self) -> Descriptor | None:
        """The descriptor of the image's configuration; ``None`` for an index."""
        return None if self.is_index else self._descriptor("config")

    @cached_property
    def layers(self) -> tuple[Descriptor, ...]:
        """The image's layers, lowest first; none for an index."""
        return () if self.is_index else tuple(_descriptor(entry) for entry in self._list("layers"))

    @cached_property
    def children(self) -> tuple[Child, ...]:
        """The children of an index; none for an image."""
        return tuple(_child(entry) for entry in self._list("manifests")) if self.is_index else ()

    @cached_property
    def subject(self) -> Descriptor | None:
        """The subject: the manifest that this one refers to, as a signature does."""
        return self._descriptor("subject")

    @property
    def subject_digest(self) -> str:
        """The digest of the subject; empty if missing or malformed. Raises nothing."""
        try:
            subject = _lenient_descriptor(self._document.get("subject"))
        except MalformedManifest:
            return ""
        return subject.digest if subject else ""

    @cached_property
    def artifact_type(self) -> str | None:
        """The stated artifact type, if any."""
        value = self._document.get("artifactType")
        return None if value is None else _text(value)

    @cached_property
    def annotations(self) -> Mapping[str, str]:
        """The annotations."""
        return _annotations(self._document)

    @cached_property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The configuration and the layers of an image; none for an index."""
        return (*([self.config] if self.config else []), *self.layers)

    @cached_property
    def references(self) -> tuple[str, ...]:
        """The digests that it names, without duplicates: of an image its blobs, of an index its children."""
        if self.is_index:
            return tuple(dict.fromkeys(child.digest for child in self.children))
        return tuple(dict.fromkeys(blob.digest for blob in self.blobs))

    @cached_property
    def entries(self) -> tuple[Descriptor, ...]:
        """All content that it names: config and layers, or the entries of an index, without duplicates.

        For finding, copying or deleting everything, also of a malformed manifest: raises nothing. Descriptors without a
        digest are skipped, an invalid size is 0, an invalid media type is empty. An entry may differ from its media
        type (``RegistryClient.content_of``). For a manifest with too many values to parse, these are all digests in it,
        without sizes and media types.
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
        """Whether it has too many values to be parsed (``json_documents``); ``entries`` works nevertheless."""
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
        """Whether all its descriptors have a digest; registries reject other manifests."""
        listed = self._document.get("manifests" if self.is_index else "layers")
        values = listed if isinstance(listed, list) else [listed] * (listed is not None)
        return all(_lenient_descriptor(value) is not None for value in values)

    @cached_property
    def total_size(self) -> int:
        """Bytes of an image's configuration and layers, without foreign layers; 0 for an index."""
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
    """A string that can be stored and sent."""
    if not isinstance(value, str) or not is_storable(value):
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
    """The URLs of a descriptor; invalid ones are skipped, since nothing depends on them."""
    texts = value if isinstance(value, list) else []
    return tuple(url for url in texts if isinstance(url, str) and url.isprintable())


def _lenient_descriptor(value: Any) -> Descriptor | None:
    """Parse a descriptor leniently; ``None`` without a digest."""
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
