"""Manifests of any content, made by hand."""

import json

from console.registry.connection import registry
from registry_client import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from tests.support.pushed_images import digest_of, push_blob


def put(repository, reference, document, media_type=OCI_MANIFEST):
    """Push a manifest of any content; its descriptor."""
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    registry().put_manifest(repository, reference or digest_of(raw), raw, media_type)
    return {"mediaType": media_type, "digest": digest_of(raw), "size": len(raw)}


def blob(repository, raw, media_type):
    return {"mediaType": media_type, "digest": push_blob(registry(), repository, raw), "size": len(raw)}


def oci(repository, *, config=b"{}", config_type=OCI_CONFIG, layers=(b"layer",), **more):
    """An OCI manifest whose blobs are pushed."""
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": blob(repository, config, config_type),
        "layers": [blob(repository, layer, OCI_LAYER) for layer in layers],
        **more,
    }


def index(*children, media_type=OCI_INDEX, **more):
    return {"schemaVersion": 2, "mediaType": media_type, "manifests": list(children), **more}


def on(architecture, descriptor, **more):
    return {**descriptor, "platform": {"os": "linux", "architecture": architecture, **more}}
