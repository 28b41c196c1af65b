"""List the registry's repositories."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

from registry_client import scopes
from registry_client.paging import paged
from registry_client.transport import Transport


def catalog(transport: Transport, page_size: int, after: str) -> Iterator[str]:
    """GET ``/v2/_catalog`` (Distribution specification, "Listing Repositories")."""
    if page_size < 1:
        raise ValueError("A page has at least one entry.")
    query = {"n": int(page_size)} | ({"last": after} if after else {})
    return paged(transport, f"/v2/_catalog?{urlencode(query)}", scopes.CATALOG, "repositories")
