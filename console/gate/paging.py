"""Pages of the registry's lists: ``n``, ``last`` and the ``Link`` to the next page (RFC 5988)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, urlencode

from django.http import HttpRequest

from console.gate.errors import ProtocolError


@dataclass(frozen=True)
class Page:
    """What is asked for: at most ``size`` entries, after the entry ``last``, which does not have to exist."""

    size: int
    last: str


def read_page(request: HttpRequest, most: int) -> Page:
    """Read ``n`` and ``last``.

    :param most: entries of a page if ``n`` is missing, or larger.
    :raises ProtocolError: 400 when ``n`` is no number.
    """
    text = request.GET.get("n")
    if text is None:
        return Page(most, text_parameter(request, "last"))
    if not (text.isascii() and text.isdigit()):
        raise ProtocolError(
            HTTPStatus.BAD_REQUEST,
            "PAGINATION_NUMBER_INVALID",
            "n must be a number of entries, 0 or more.",
            detail={"n": text[:100]},
        )
    # A number of very many digits is not converted.
    size = most if len(text) > len(str(most)) + 20 else min(int(text), most)
    return Page(size, text_parameter(request, "last"))


def text_parameter(request: HttpRequest, name: str) -> str:
    """A parameter of the query; empty when it is missing.

    :raises ProtocolError: 400 for a NUL, which no name has and the database does not accept.
    """
    text = request.GET.get(name, "")
    if "\x00" in text:
        raise ProtocolError(HTTPStatus.BAD_REQUEST, "UNSUPPORTED", f"{name} contains a NUL character.")
    return text


def next_link(path: str, parameters: Mapping[str, str | int]) -> dict[str, str]:
    """The ``Link`` header to the next page; relative, so that it is right behind any proxy."""
    target = f"{quote(path, safe='/:')}?{urlencode(parameters)}"
    return {"Link": f'<{target}>; rel="next"'}
