"""Content to push: blobs, image manifests, indexes, artifacts, and whatever else registries get."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import secrets
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from registry_client import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from registry_client.names import Digest

OCTETS = "application/octet-stream"
OCI_PLAIN_LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY_JSON = "application/vnd.oci.empty.v1+json"
EXAMPLE_ONE = "application/vnd.example.conformance.one"
EXAMPLE_TWO = "application/vnd.example.conformance.two+json"
AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64"}

Descriptor = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """A blob or a manifest, named for the names of checks."""

    name: str
    body: bytes
    media_type: str = OCTETS
    algorithm: str = "sha256"

    @property
    def digest(self) -> str:
        """The digest of its bytes."""
        return Digest.of(self.body, self.algorithm)

    @property
    def document(self) -> dict[str, Any]:
        """A manifest's JSON."""
        return json.loads(self.body)

    @property
    def subject(self) -> str:
        """The digest of a manifest's subject; empty if it has none."""
        return self.document.get("subject", {}).get("digest", "")

    def descriptor(self, **more: object) -> Descriptor:
        """A descriptor of it (OCI image specification, "OCI Content Descriptors")."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.body), **more}

    def referrer(self) -> Descriptor:
        """Its descriptor in the list of referrers of its subject ("Listing Referrers")."""
        document = self.document
        kind = document.get("artifactType") or document.get("config", {}).get("mediaType")
        more = {"artifactType": kind, "annotations": document.get("annotations")}
        return self.descriptor(**{name: value for name, value in more.items() if value})


def random_blob(size: int, algorithm: str = "sha256", name: str = "blob") -> Item:
    """A blob that no registry has.

    :param size: in bytes.
    """
    return Item(name, os.urandom(size), algorithm=algorithm)


def _layer(name: str, *, compressed: bool, algorithm: str) -> tuple[Item, str]:
    """A layer with one file, and the digest of its archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        content = f"{name} {secrets.token_hex(16)}\n".encode()
        entry = tarfile.TarInfo(f"{name}.txt")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    plain = stream.getvalue()
    body = gzip.compress(plain, mtime=0) if compressed else plain
    media_type = OCI_LAYER if compressed else OCI_PLAIN_LAYER
    return Item(name, body, media_type, algorithm), Digest.of(plain, algorithm)


@dataclass
class Content:
    """What is pushed to one repository: blobs first, then manifests in this order, then tags."""

    blobs: list[Item] = field(default_factory=list)
    manifests: list[Item] = field(default_factory=list)
    tags: dict[str, Item] = field(default_factory=dict)
    algorithm: str = "sha256"
    # Further fields of every manifest and config.
    fields: Mapping[str, object] = field(default_factory=dict)

    def blob(self, item: Item) -> Item:
        """Add a blob, once."""
        if item.digest not in {blob.digest for blob in self.blobs}:
            self.blobs.append(item)
        return item

    def manifest(self, name: str, media_type: str, document: Mapping[str, object], tag: str = "") -> Item:
        """Add a manifest, and a tag of it if one is given."""
        body = json.dumps({**document, **self.fields}).encode()
        item = Item(name, body, media_type, self.algorithm)
        self.manifests.append(item)
        if tag:
            self.tags[tag] = item
        return item

    def image(
        self,
        name: str = "image",
        *,
        tag: str = "",
        layers: int = 2,
        compressed: bool = True,
        data: bool = False,
        platform: Mapping[str, str] | None = None,
        foreign: Iterable[Descriptor] = (),
        config_type: str = OCI_CONFIG,
        **more: object,
    ) -> Item:
        """Add an image with its layers and its config.

        :param data: whether the descriptors have the blobs' bytes in ``data``.
        :param foreign: descriptors of further layers, which are not pushed.
        :param more: further fields of the manifest.
        """
        made = [
            _layer(f"{name} layer {number}", compressed=compressed, algorithm=self.algorithm)
            for number in range(1, layers + 1)
        ]
        config = {
            **(platform or AMD64),
            "author": secrets.token_hex(8),
            "rootfs": {"type": "layers", "diff_ids": [digest for _layer_, digest in made]},
            **self.fields,
        }
        configuration = Item(f"{name} config", json.dumps(config).encode(), config_type, self.algorithm)
        parts = [self.blob(part) for part in (configuration, *(layer for layer, _digest in made))]
        described = [part.descriptor(**_inline(part) if data else {}) for part in parts]
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": described[0],
            "layers": [*foreign, *described[1:]],
            **more,
        }
        return self.manifest(name, OCI_MANIFEST, document, tag)

    def artifact(
        self,
        name: str = "artifact",
        kind: str = EXAMPLE_ONE,
        *,
        tag: str = "",
        body: bytes | None = None,
        layer_type: str | None = None,
        **more: object,
    ) -> Item:
        """Add an artifact: an empty config and one layer (image specification, "Guidelines for Artifact Usage").

        :param body: the layer's bytes; random ones by default.
        """
        empty = self.blob(Item(f"{name} config", b"{}", EMPTY_JSON, self.algorithm))
        content = os.urandom(512) if body is None else body
        layer = self.blob(Item(f"{name} layer", content, layer_type or kind, self.algorithm))
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": kind,
            "config": empty.descriptor(),
            "layers": [layer.descriptor()],
            **more,
        }
        return self.manifest(name, OCI_MANIFEST, document, tag)

    def index(self, name: str = "index", entries: Iterable[Descriptor] = (), *, tag: str = "", **more: object) -> Item:
        """Add an index of ``entries``."""
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries), **more}
        return self.manifest(name, OCI_INDEX, document, tag)

    def platforms(self, prefix: str = "") -> list[Descriptor]:
        """Add images for two platforms, and return the entries of an index of them."""
        return [
            self.image(f"{prefix}{platform['architecture']}", platform=platform).descriptor(platform=platform)
            for platform in (AMD64, ARM64)
        ]


def _inline(item: Item) -> dict[str, str]:
    return {"data": base64.b64encode(item.body).decode()}


def unique_annotations() -> dict[str, str]:
    """Annotations that no other manifest has."""
    return {"org.example.title": "conformance", f"org.example.{secrets.token_hex(4)}": secrets.token_hex(8)}
