"""Which repositories are there?"""

from __future__ import annotations

from collections.abc import Iterator

from registry_client import scopes
from registry_client.paging import paged
from registry_client.transport import Transport


def catalog(transport: Transport, page_size: int) -> Iterator[str]:
    """GET ``/v2/_catalog`` (Distribution specification, "Listing Repositories")."""
    if page_size < 1:
        raise ValueError("A page has at least one entry.")
    return paged(transport, f"/v2/_catalog?n={int(page_size)}", scopes.CATALOG, "repositories")
