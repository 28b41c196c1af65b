"""Foreign layers: which ones the bundled registry takes.

A foreign layer (Docker), or nondistributable one (OCI), is not in a registry but at the addresses that its descriptor
names, as Microsoft's license wanted it for Windows' base images.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from django.conf import settings

from registry_client import DOCKER_FOREIGN_LAYER, DOCKER_MANIFEST, OCI_LAYER, Descriptor, Manifest

# Those of an OCI manifest whose addresses Distribution 2.8 looks at (registry/storage/ocimanifesthandler.go).
_OCI_CHECKED = {
    OCI_LAYER,
    OCI_LAYER.removesuffix("+gzip"),
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
}


def refusal(image: Manifest) -> str:
    """Why the bundled registry does not store an image with such layers, empty when it does.

    The registry answers 500 "unknown error" then, as if it were broken. Of a manifest that cannot be understood as a
    whole, this judges the layers that can.
    """
    patterns = settings.FOREIGN_LAYER_URLS
    if patterns is None:
        return ""  # a registry of somebody's own has rules of its own
    for layer in image.entries:
        if image.media_type == DOCKER_MANIFEST:
            checked = layer.media_type == DOCKER_FOREIGN_LAYER
            if checked and not layer.urls:
                return "A layer of the image is stored elsewhere, and the image does not say where."
        else:
            checked = layer.media_type in _OCI_CHECKED
        for url in layer.urls if checked else ():
            if not _is_allowed(url, patterns):
                return (
                    f"A layer of the image is stored elsewhere, at {host(layer)}, which this registry does not allow. "
                    "Ask an administrator to allow it."
                )
    return ""


def host(layer: Descriptor) -> str:
    """The host that clients download a foreign layer from, for people to read; its first one, in a bounded length."""
    try:
        name = urlsplit(layer.urls[0]).hostname if layer.urls else None
    except ValueError:
        name = None
    return (name or "an address that cannot be understood")[:100]


def _is_allowed(url: str, patterns: tuple[str, ...]) -> bool:
    """As Distribution judges: a scheme of the web, no fragment, and one of the patterns."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    good = parts.scheme in {"http", "https"} and not parts.fragment
    return good and any(re.search(pattern, url) for pattern in patterns)
