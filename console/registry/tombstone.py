"""The tombstone: a tiny manifest that tags are pointed at, so that deleting one digest removes all of them.

The index knows it, too: a tag that points at it is being deleted.
"""

from __future__ import annotations

import hashlib

from console.registry.connection import registry
from console.repositories.failures import DeletesAreOff
from registry_client import Unsupported

TOMBSTONE_MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"
# An index without entries: it names no blob and no child, so every repository accepts it.
TOMBSTONE = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],'
    b'"annotations":{"io.my-images.tombstone":"This tag is being deleted."}}'
)
TOMBSTONE_DIGEST = f"sha256:{hashlib.sha256(TOMBSTONE).hexdigest()}"


def is_tombstone(digest: str) -> bool:
    """Whether a digest is the tombstone's: a tag that points at it is being deleted."""
    return digest == TOMBSTONE_DIGEST


def point_at_tombstone(repository: str, tag: str) -> None:
    """Point a tag at the tombstone, whatever it points at now."""
    registry().put_manifest(repository, tag, TOMBSTONE, TOMBSTONE_MEDIA_TYPE)


def remove_tombstone(repository: str) -> None:
    """Remove the tombstone and every tag that points at it.

    The registry deletes the digest first and then the tags, one after another. If it is killed in between, tags remain
    that point at nothing. So the tombstone is stored again first, and the deletion finds them.

    :raises DeletesAreOff: when the registry does not delete.
    :raises registry_client.RegistryError: when the registry fails.
    """
    registry().put_manifest(repository, TOMBSTONE_DIGEST, TOMBSTONE, TOMBSTONE_MEDIA_TYPE)
    try:
        registry().delete_manifest(repository, TOMBSTONE_DIGEST, missing_ok=True)
    except Unsupported as error:
        raise DeletesAreOff(error.message, status=error.status, code=error.code, request=error.request) from error


def require_deletes(repository: str) -> None:
    """Check that the registry deletes, before any tag is pointed at the tombstone.

    :raises registry_client.Unsupported: when it does not (``DeletesAreOff``), or its disk is full.
    """
    remove_tombstone(repository)
