"""List the tags of a repository."""

from __future__ import annotations

from registry_client import scopes
from registry_client.names import Repository
from registry_client.paging import paged
from registry_client.transport import Transport


def tags(transport: Transport, repository: Repository) -> list[str]:
    """GET ``/v2/NAME/tags/list`` (Distribution specification, "Listing Image Tags")."""
    return list(paged(transport, f"/v2/{repository}/tags/list", scopes.pull(repository), "tags"))
