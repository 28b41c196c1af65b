"""Push artifacts and referrers with ``registry_client``."""

from __future__ import annotations

import json
import os

from registry_client import OCI_EMPTY, OCI_INDEX, OCI_MANIFEST, RegistryClient
from tests.support.pushed_images import DOCKER_MANIFEST, Pushed, digest_of, push_blob


def push_artifact(client: RegistryClient, repository: str, reference: str | None, subject: Pushed | None) -> Pushed:
    """Push an artifact with a tag or by its digest, with a ``subject`` unless that is ``None``."""
    config, layer = b"{}", os.urandom(32)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.example.sbom",
        "config": {
            "mediaType": OCI_EMPTY,
            "digest": push_blob(client, repository, config),
            "size": len(config),
        },
        "layers": [
            {"mediaType": "application/spdx+json", "digest": push_blob(client, repository, layer), "size": len(layer)}
        ],
    }
    if subject is not None:
        manifest["subject"] = {"mediaType": DOCKER_MANIFEST, "digest": subject.digest, "size": len(subject.content)}
    content = json.dumps(manifest).encode()
    digest = client.put_manifest(repository, reference or digest_of(content), content, OCI_MANIFEST)
    blobs = [manifest["config"]["digest"], *(one["digest"] for one in manifest["layers"])]
    return Pushed(repository, digest, content, blobs, len(config) + len(layer))


def push_referrers(client: RegistryClient, repository: str, subject: Pushed, artifacts: list[Pushed]) -> Pushed:
    """Push the referrers of ``subject`` as an index (OCI distribution specification, "Referrers Tag Schema")."""
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": OCI_MANIFEST,
                "digest": one.digest,
                "size": len(one.content),
                "artifactType": "application/vnd.example.sbom",
            }
            for one in artifacts
        ],
    }
    content = json.dumps(index).encode()
    tag = subject.digest.replace(":", "-")
    return Pushed(repository, client.put_manifest(repository, tag, content, OCI_INDEX), content)
