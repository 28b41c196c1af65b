"""Delete manifests and blobs."""

from __future__ import annotations

from registry_client import scopes
from registry_client.errors import NotFound
from registry_client.names import Digest, Repository
from registry_client.transport import Transport


def delete_manifest(transport: Transport, repository: Repository, digest: Digest, missing_ok: bool) -> None:
    """DELETE ``/v2/NAME/manifests/DIGEST`` (Distribution specification, "Deleting an Image")."""
    _delete(transport, repository, f"manifests/{digest}", missing_ok)


def delete_blob(transport: Transport, repository: Repository, digest: Digest, missing_ok: bool) -> None:
    """DELETE ``/v2/NAME/blobs/DIGEST`` (Distribution specification, "Deleting a Layer")."""
    _delete(transport, repository, f"blobs/{digest}", missing_ok)


def _delete(transport: Transport, repository: Repository, what: str, missing_ok: bool) -> None:
    try:
        transport.call("DELETE", f"/v2/{repository}/{what}", scopes=scopes.delete(repository), expect=(200, 202, 204))
    except NotFound:
        if not missing_ok:
            raise
