"""Manifests by their sha512 digest.

Distribution 2.8 stores manifests by their sha256 digest. The other digest becomes a second name of the same content:
the manifest is also pushed as a blob with that digest, where the registry finds manifests as well. So it can be pulled
by both digests, and named by both as a child of an index.
"""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus

from console.gate import deletes, manifests
from console.gate.errors import ProtocolError, manifest_unknown
from console.gate.manifests import Stored
from console.registry.connection import registry
from registry_client import Digest, NotFound


def is_sha512(reference: str) -> bool:
    """Whether a valid reference is a sha512 digest."""
    return reference.startswith("sha512:")


def put_manifest(repository: str, digest: str, content: bytes, media_type: str, username: str) -> Stored:
    """Push a manifest by its sha512 digest, as ``manifests.put_manifest`` does it by another reference.

    :raises ProtocolError: when the rules or the manifest do not allow it.
    :raises registry_client.RegistryError: when the registry refuses it, or fails; the manifest may be there by its
        sha256 digest.
    """
    if not Digest(digest).is_of(content):
        raise ProtocolError(
            HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", f"The manifest’s content is not that of {digest}."
        )
    stored = manifests.put_manifest(repository, Digest.of(content), content, media_type, username)
    registry().upload_blob(repository, digest, [content], len(content))
    return Stored(digest, stored.subject)


def delete_manifest(repository: str, digest: str, username: str) -> None:
    """Delete a manifest by its sha512 digest, with all its tags.

    :raises ProtocolError: when the rules do not allow it, or there is no such manifest.
    :raises registry_client.RegistryError: when the registry fails.
    """
    try:
        content = registry().manifest(repository, digest).content
    except NotFound:
        raise manifest_unknown(repository, digest) from None
    try:
        deletes.delete_manifest(repository, Digest.of(content), username)
    except ProtocolError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
    # After the rules have allowed it. If the manifest was deleted by its sha256 digest before, its blob is still there.
    with suppress(NotFound):
        registry().delete_blob(repository, digest)
