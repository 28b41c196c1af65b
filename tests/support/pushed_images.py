"""Build small images and push them with ``registry_client``."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field

from registry_client import ManifestUnknown, RegistryClient

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Pushed:
    repository: str
    digest: str
    content: bytes
    blobs: list[str] = field(default_factory=list)
    size: int = 0


def push_blob(client: RegistryClient, repository: str, content: bytes) -> str:
    digest = digest_of(content)
    client.upload_blob(repository, digest, [content], len(content))
    return digest


def push_image(client: RegistryClient, repository: str, reference: str | None, *, layers=None, config=None) -> Pushed:
    """Push an image with a tag, or by its digest if ``reference`` is ``None``. Its content is random by default."""
    layers = [os.urandom(64)] if layers is None else layers
    config = config if config is not None else {"os": "linux", "architecture": "amd64", "n": os.urandom(4).hex()}
    config_bytes = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {
            "mediaType": DOCKER_CONFIG,
            "digest": push_blob(client, repository, config_bytes),
            "size": len(config_bytes),
        },
        "layers": [
            {"mediaType": DOCKER_LAYER, "digest": push_blob(client, repository, layer), "size": len(layer)}
            for layer in layers
        ],
    }
    content = json.dumps(manifest).encode()
    digest = client.put_manifest(repository, reference or digest_of(content), content, DOCKER_MANIFEST)
    blobs = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
    return Pushed(repository, digest, content, blobs, len(config_bytes) + sum(map(len, layers)))


def push_index(client: RegistryClient, repository: str, tag: str, children: list[Pushed]) -> Pushed:
    """Push an index of ``children``, one platform each."""
    architectures = ["amd64", "arm64", "s390x", "ppc64le", "riscv64"]
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": DOCKER_MANIFEST,
                "digest": child.digest,
                "size": len(child.content),
                "platform": {"os": "linux", "architecture": architecture},
            }
            for child, architecture in zip(children, architectures, strict=False)
        ],
    }
    content = json.dumps(index).encode()
    digest = client.put_manifest(repository, tag, content, OCI_INDEX)
    return Pushed(repository, digest, content, [], sum(child.size for child in children))


def present(client: RegistryClient, repository: str, reference: str) -> bool:
    """Whether the registry has the manifest."""
    try:
        client.resolve(repository, reference)
    except ManifestUnknown:
        return False
    return True
