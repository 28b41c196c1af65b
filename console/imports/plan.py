"""Plan of an import: the manifests to push, and the blobs that they need."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

from console.registry import foreign_layers
from console.registry.large_content import SMALL_BYTES, one_at_a_time
from registry_client import (
    MANIFEST_MEDIA_TYPES,
    Child,
    Descriptor,
    DigestMismatch,
    Manifest,
    NotFound,
    Platform,
    RegistryClient,
    RegistryError,
    is_digest,
)
from registry_client.json_documents import parse
from registry_client.names import Digest

_DEEPEST = 3
_MOST_MANIFESTS = 1000
# Limits: a plan is completely in memory, and the source is an untrusted registry.
_LARGEST_MANIFEST = 4 << 20
_LARGEST_MANIFESTS = 8 << 20
_MOST_BLOBS = 10_000
_LARGEST_CONFIG = 4 << 20
_LARGEST_SIZE = (1 << 63) - 1
# Annotation of BuildKit's attestations with the digest of their platform's manifest.
_ABOUT = "vnd.docker.reference.digest"


class CannotTransfer(Exception):
    """The copy can never succeed; the message is for the page."""


@dataclass
class Plan:
    """The manifests and blobs to copy. ``manifests`` has children first, the root last.

    ``length`` is the total size of the manifests in bytes.
    """

    manifests: list[Manifest] = field(default_factory=list)
    blobs: dict[str, Descriptor] = field(default_factory=dict)
    length: int = 0

    @property
    def root(self) -> Manifest:
        """The manifest that the tag will name."""
        return self.manifests[-1]

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs.values())


class ManifestCache:
    """Cache of manifests between the turns of a copy, so that the source is not asked again each time.

    Each copy gets only manifests that it has read itself: other accounts may not have access to them. There is no
    eviction in favour of another copy: what does not fit is not cached. Unused copies expire after a while.
    """

    _LIMIT = 16 << 20
    _SECONDS = 600.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._manifests: dict[Hashable, dict[str, Manifest]] = {}
        self._used: dict[Hashable, float] = {}

    def get(self, copy: Hashable, digest: str) -> Manifest | None:
        """A manifest that the copy has read before, if cached."""
        with self._lock:
            found = self._manifests.get(copy, {}).get(digest)
            if found is not None:
                self._used[copy] = time.monotonic()
        # A copy of the object, so that its cached properties do not stay in memory.
        return replace(found) if found else None

    def add(self, copy: Hashable, manifest: Manifest) -> bool:
        """Cache a manifest; returns whether it fits."""
        with self._lock:
            now = time.monotonic()
            for old in [one for one, used in self._used.items() if now - used > self._SECONDS]:
                self._drop(old)
            if self.length + len(manifest.content) > self._LIMIT:
                return False
            self._manifests.setdefault(copy, {})[manifest.digest] = replace(manifest)
            self._used[copy] = now
            return True

    def forget(self, copy: Hashable) -> None:
        """Remove all manifests of a copy that has ended."""
        with self._lock:
            self._drop(copy)

    @property
    def length(self) -> int:
        """Total size in bytes."""
        return sum(len(one.content) for some in self._manifests.values() for one in some.values())

    def _drop(self, copy: Hashable) -> None:
        self._manifests.pop(copy, None)
        self._used.pop(copy, None)


def make_plan(
    source: RegistryClient,
    root: Manifest,
    platforms: Iterable[str],
    read: Callable[[str, str], Manifest] | None = None,
) -> Plan:
    """Read ``root`` with its children, without platforms that are not wanted.

    :param platforms: the platforms to copy, as ``linux/arm64/v8`` or without the variant; none for all.
    :param read: reads a manifest of a repository by its digest; ``source.manifest`` by default.
    :raises CannotTransfer: when a platform is missing, or the image cannot be copied.
    :raises registry_client.RegistryError: when the source fails, or sends an invalid answer.
    """
    plan = Plan()
    # Checked before parsing: parsed values take much more memory than their text. For the same reason copies are
    # parsed, which are freed afterwards.
    _require_room(plan, root)
    wanted = tuple(dict.fromkeys(platforms))
    narrowed = replace(_narrowed(source, replace(root), wanted))
    _add(plan, source, read or source.manifest, narrowed, _DEEPEST)
    if plan.size > _LARGEST_SIZE:
        raise CannotTransfer("The image’s manifests state impossible sizes.")
    return plan


def _require_room(plan: Plan, manifest: Manifest) -> None:
    length = len(manifest.content)
    if length > _LARGEST_MANIFEST or plan.length + length > _LARGEST_MANIFESTS:
        raise CannotTransfer("The image’s manifests are too large.")
    if len(plan.manifests) >= _MOST_MANIFESTS:
        raise CannotTransfer("The image has too many manifests.")


def _add(
    plan: Plan, source: RegistryClient, read: Callable[[str, str], Manifest], manifest: Manifest, depth: int
) -> None:
    _require_room(plan, manifest)
    if manifest.media_type not in MANIFEST_MEDIA_TYPES:
        raise CannotTransfer("The image has an old or unknown format that the registry does not store.")
    if manifest.is_index:
        if not depth:
            raise CannotTransfer("The image nests indexes too deeply.")
        with _turn_for(manifest.content):
            if not replace(manifest).names_all_entries:
                raise CannotTransfer("The image’s manifest cannot be understood.")
            entries = replace(manifest).entries
        known = {one.digest for one in plan.manifests}
        for entry in entries:
            if entry.digest not in known:
                _add_entry(plan, source, read, manifest.repository, entry, depth)
    else:
        _add_image(plan, manifest)
    # Again: the children of an index have been added since.
    _require_room(plan, manifest)
    plan.manifests.append(manifest)
    plan.length += len(manifest.content)


def _turn_for(content: bytes) -> AbstractContextManager[None]:
    """The lock for parsing large content (``console.registry.large_content``); none for small content."""
    return one_at_a_time() if len(content) > SMALL_BYTES else nullcontext()


def _add_image(plan: Plan, manifest: Manifest) -> None:
    with _turn_for(manifest.content):
        image = replace(manifest)
        if refusal := foreign_layers.refusal(image):
            raise CannotTransfer(refusal)
        for blob in image.blobs:
            if not blob.is_foreign:
                _add_blob(plan, blob)


def _add_blob(plan: Plan, blob: Descriptor) -> None:
    if blob.digest not in plan.blobs and len(plan.blobs) >= _MOST_BLOBS:
        raise CannotTransfer("The image has too many layers.")
    plan.blobs.setdefault(blob.digest, blob)


def _add_entry(
    plan: Plan,
    source: RegistryClient,
    read: Callable[[str, str], Manifest],
    repository: str,
    entry: Descriptor,
    depth: int,
) -> None:
    """Add an entry of an index: a manifest with its children, or a blob, as in BuildKit's cache.

    The source decides which it is; the media type decides which request is sent first.
    """
    if entry.media_type not in {"", *MANIFEST_MEDIA_TYPES} and (blob := _blob_at(source, repository, entry)):
        _add_blob(plan, blob)
        return
    try:
        manifest = read(repository, entry.digest)
    except RegistryError as error:
        # For a layer requested as a manifest Distribution answers 500, others 404 or the layer itself.
        if error.status is None and not isinstance(error, DigestMismatch):
            raise
        blob = _blob_at(source, repository, entry)
        if blob is None:
            raise
        _add_blob(plan, blob)
    else:
        _add(plan, source, read, manifest, depth - 1)


def _blob_at(source: RegistryClient, repository: str, entry: Descriptor) -> Descriptor | None:
    """The blob at the source with its actual size; ``None`` if it does not exist."""
    try:
        return source.stat_blob(repository, entry.digest)
    except NotFound:
        return None


def _narrowed(source: RegistryClient, root: Manifest, platforms: tuple[str, ...]) -> Manifest:
    """``root`` itself if all platforms are wanted, else an index with only the wanted platforms.

    The same choice always gives the same bytes, and so the same digest. Also for one platform the result is an index:
    otherwise annotations of the index and attestations of the platform would be lost.
    """
    if not platforms:
        return root
    if not root.is_index:
        _require(platforms, [_platform_of(source, root)])
        return root
    shown = [child for child in root.children if _ABOUT not in child.annotations]
    _require(platforms, [child.platform for child in shown])
    wanted = {child.digest for child in shown if any(_is(child.platform, one) for one in platforms)}
    document = parse(root.content)
    selected = [
        entry
        for entry, child in zip(document["manifests"], root.children, strict=True)
        if child.digest in wanted or _about(child) in wanted
    ]
    if len(selected) == len(root.children):
        return root
    content = json.dumps({**document, "manifests": selected}, separators=(",", ":")).encode()
    return replace(root, digest=Digest.of(content), content=content)


def _about(child: Child) -> str:
    digest = child.annotations.get(_ABOUT, "")
    return digest if is_digest(digest) else ""


def _is(platform: Platform | None, asked: str) -> bool:
    """Whether a platform matches the requested one; without a variant any variant matches."""
    if platform is None:
        return False
    return asked in {str(platform), f"{platform.os}/{platform.architecture}"}


def _require(asked: tuple[str, ...], available: list[Platform | None]) -> None:
    for one in asked:
        if not any(_is(platform, one) for platform in available):
            names = ", ".join(sorted({str(platform) for platform in available if platform})) or "none that is named"
            raise CannotTransfer(f"The image does not have the platform {one}. It has: {names[:200]}.")


def _platform_of(source: RegistryClient, manifest: Manifest) -> Platform | None:
    """The platform of a single image, from its configuration (OCI image specification, "Image Configuration")."""
    if manifest.config is None:
        return None
    try:
        content = source.read_blob(manifest.repository, manifest.config.digest, _LARGEST_CONFIG)
        with _turn_for(content):
            config = parse(content)
        os, architecture = config["os"], config["architecture"]
        variant = config.get("variant") or ""
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not all(isinstance(part, str) for part in (os, architecture, variant)):
        return None
    return Platform(os, architecture, variant)
