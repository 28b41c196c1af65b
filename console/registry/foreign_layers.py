"""Foreign layers: which ones the bundled registry accepts.

A foreign layer (Docker) or nondistributable layer (OCI) is not in the registry but at the URLs of its descriptor.
Microsoft's license required this for the base images of Windows.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from django.conf import settings

from registry_client import DOCKER_FOREIGN_LAYER, DOCKER_MANIFEST, OCI_LAYER, Descriptor, Manifest

# Layers of an OCI manifest whose URLs Distribution 2.8 checks (registry/storage/ocimanifesthandler.go).
_OCI_CHECKED = {
    OCI_LAYER,
    OCI_LAYER.removesuffix("+gzip"),
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
}


def refusal(image: Manifest) -> str:
    """Why the bundled registry refuses an image for its foreign layers, as a sentence; empty when it accepts it.

    The registry itself answers 500 "unknown error", as if it were broken. Of a partly invalid manifest, the valid
    layers are checked.
    """
    patterns = settings.FOREIGN_LAYER_URLS
    if patterns is None:
        return ""  # an external registry has its own rules
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
    """The host of a foreign layer's first URL, for messages; at most 100 characters."""
    try:
        name = urlsplit(layer.urls[0]).hostname if layer.urls else None
    except ValueError:
        name = None
    return (name or "an invalid address")[:100]


def _is_allowed(url: str, patterns: tuple[str, ...]) -> bool:
    """The check of Distribution: HTTP or HTTPS, no fragment, and a match of one of the patterns."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_web = parts.scheme in {"http", "https"} and not parts.fragment
    return is_web and any(re.search(pattern, url) for pattern in patterns)
