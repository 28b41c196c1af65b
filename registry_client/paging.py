"""Paginated lists (Distribution specification, "Pagination"; RFC 5988)."""

from __future__ import annotations

from collections.abc import Iterator

from requests.utils import parse_header_links

from registry_client.transport import Answer, Transport


def paged(transport: Transport, path: str, scopes: tuple[str, ...], key: str) -> Iterator[str]:
    """The strings under ``key`` in the response for ``path``, and in the following pages (``Link`` header).

    A registry may send ``null`` for an empty list.
    """
    seen: set[str] = set()
    following: str | None = path
    while following is not None:
        seen.add(following)
        answer = transport.call("GET", following, scopes=scopes)
        names = answer.json().get(key, [])
        if names is None:
            names = []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise answer.unexpected(f"the answer has no list of {key}")
        yield from names
        following = _next(transport, answer)
        if following in seen:
            raise answer.unexpected("the pages go round in a circle")


def _next(transport: Transport, answer: Answer) -> str | None:
    for link in parse_header_links(answer.headers.get("Link", "")):
        if "next" in link.get("rel", "").lower().split():
            return transport.path_of(answer, "Link", link.get("url", ""))
    return None
