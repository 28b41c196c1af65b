"""What a copy of an image consists of: the manifests to put, and the blobs that they need."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from registry_client import (
    MANIFEST_MEDIA_TYPES,
    Child,
    Descriptor,
    Manifest,
    Platform,
    RegistryClient,
    is_digest,
)
from registry_client.names import Digest

_DEEPEST = 3
_MOST_MANIFESTS = 1000
_LARGEST_CONFIG = 4 << 20
_LARGEST_SIZE = (1 << 63) - 1
# What BuildKit attests of a platform names it so, and has itself the platform "unknown/unknown".
_ABOUT = "vnd.docker.reference.digest"


class CannotTransfer(Exception):
    """The copy can never succeed; the message is the sentence for the page."""


@dataclass
class Plan:
    """``manifests`` stand after those that they name: the last is what the tag will point at."""

    manifests: list[Manifest] = field(default_factory=list)
    blobs: dict[str, Descriptor] = field(default_factory=dict)

    @property
    def root(self) -> Manifest:
        """What the tag will point at."""
        return self.manifests[-1]

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs.values())


def make_plan(source: RegistryClient, root: Manifest, platforms: Iterable[str]) -> Plan:
    """Read what hangs from ``root``, and leave out what is not wanted.

    :param platforms: those to copy, as ``linux/arm64/v8`` or without the variant; none for all.
    :raises CannotTransfer: when the image has not all of them, or is of a form that cannot be copied.
    :raises registry_client.RegistryError: when the source fails, or sends what cannot be understood.
    """
    plan = Plan()
    _add(plan, source, _narrowed(source, root, tuple(dict.fromkeys(platforms))), _DEEPEST)
    if plan.size > _LARGEST_SIZE:
        raise CannotTransfer("The image’s manifests state sizes beyond belief.")
    return plan


def _add(plan: Plan, source: RegistryClient, manifest: Manifest, depth: int) -> None:
    if manifest.media_type not in MANIFEST_MEDIA_TYPES:
        raise CannotTransfer("The image is of an old or unknown form that the registry does not store.")
    if manifest.is_index:
        if not depth:
            raise CannotTransfer("The image nests indexes too deeply.")
        known = {one.digest for one in plan.manifests}
        for digest in manifest.references:
            if digest not in known:
                _add(plan, source, source.manifest(manifest.repository, digest), depth - 1)
    else:
        for blob in (*([manifest.config] if manifest.config else []), *manifest.layers):
            plan.blobs.setdefault(blob.digest, blob)
    plan.manifests.append(manifest)
    if len(plan.manifests) > _MOST_MANIFESTS:
        raise CannotTransfer("The image consists of too many manifests.")


def _narrowed(source: RegistryClient, root: Manifest, platforms: tuple[str, ...]) -> Manifest:
    """``root`` itself when all of it is wanted, else an index of the same form with the platforms that are.

    The same choice gives the same bytes, and so the same digest, each time. Also of one platform an index is made: what
    the index says of the image, and what is attested of the platform, would be lost with it.
    """
    if not platforms:
        return root
    if not root.is_index:
        _require(platforms, [_platform_of(source, root)])
        return root
    shown = [child for child in root.children if _ABOUT not in child.annotations]
    _require(platforms, [child.platform for child in shown])
    wanted = {child.digest for child in shown if any(_is(child.platform, one) for one in platforms)}
    document = json.loads(root.content)
    kept = [
        entry
        for entry, child in zip(document["manifests"], root.children, strict=True)
        if child.digest in wanted or _about(child) in wanted
    ]
    if len(kept) == len(root.children):
        return root
    content = json.dumps({**document, "manifests": kept}, separators=(",", ":")).encode()
    return replace(root, digest=Digest.of(content), content=content)


def _about(child: Child) -> str:
    digest = child.annotations.get(_ABOUT, "")
    return digest if is_digest(digest) else ""


def _is(platform: Platform | None, asked: str) -> bool:
    """Whether a platform is the one asked for; without a variant every variant is meant."""
    if platform is None:
        return False
    return asked in {str(platform), f"{platform.os}/{platform.architecture}"}


def _require(asked: tuple[str, ...], there: list[Platform | None]) -> None:
    for one in asked:
        if not any(_is(platform, one) for platform in there):
            names = ", ".join(sorted({str(platform) for platform in there if platform})) or "none that is named"
            raise CannotTransfer(f"The image does not have the platform {one}. It has: {names[:200]}.")


def _platform_of(source: RegistryClient, manifest: Manifest) -> Platform | None:
    """The platform of a single image, which its configuration says (OCI image specification, "Image Configuration")."""
    if manifest.config is None:
        return None
    try:
        config = json.loads(source.read_blob(manifest.repository, manifest.config.digest, _LARGEST_CONFIG))
        os, architecture = config["os"], config["architecture"]
        variant = config.get("variant") or ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not all(isinstance(part, str) for part in (os, architecture, variant)):
        return None
    return Platform(os, architecture, variant)
