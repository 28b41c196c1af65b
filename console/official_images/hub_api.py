"""Docker Hub's public HTTP API: the list of official images and their tags, page by page.

Each page is ``{"count": …, "next": address or null, "results": [row, …]}`` (Docker Hub API, "List repositories", "List
repository tags"). No account is needed for it, and none is used.
"""

from __future__ import annotations

import datetime
import json
import logging
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urljoin, urlsplit

import requests

from console.official_images.models import Problem
from registry_client import RegistryError, RegistryUnavailable
from registry_client.connections import Connections, pieces

log = logging.getLogger(__name__)

PAGE_ROWS = 100
# A page of a hundred tags has about half a megabyte.
LARGEST_PAGE = 16 << 20
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 15.0
# Total timeout of a response, against a slow trickle of bytes.
_PAGE_SECONDS = 30.0
_MOST_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_LONGEST_WAIT = 6 * 3600.0
_WAIT = 60.0
_VALIDATOR = re.compile(r"[\x20-\x7e]{1,200}")


class HubProblem(Exception):
    """Docker Hub could not be read.

    :ivar kind: the message for pages.
    :ivar wait: ``Retry-After`` in seconds, if Docker Hub sent it.
    """

    def __init__(self, kind: Problem, detail: str, wait: float | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.wait = wait


@dataclass(frozen=True)
class Page:
    """One page of a list; ``following`` is the URL of the next one, empty on the last."""

    rows: list[dict[str, Any]]
    total: int
    following: str
    etag: str
    modified: str


class HubApi:
    """A client of the API at ``base``; use it as a context manager.

    :param base: scheme and host, such as ``https://hub.docker.com``. Redirects and links to other hosts are rejected.
    """

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")
        self._connections = Connections(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connections.close()

    def images(self) -> str:
        """The URL of the first page of the official images."""
        return f"{self._base}/v2/repositories/library/?page_size={PAGE_ROWS}"

    def tags(self, name: str) -> str:
        """The URL of the first page of an official image's tags, last changed first."""
        return f"{self._base}/v2/repositories/library/{quote(name, safe='')}/tags?page_size={PAGE_ROWS}"

    def page(self, address: str, etag: str = "", modified: str = "") -> Page | None:
        """Read one page.

        :param etag: of the stored page; with ``modified`` it makes the request conditional (RFC 9110, 13.1).
        :return: ``None`` if it has not changed (304).
        :raises HubProblem: when it cannot be read.
        """
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        if etag:
            headers["If-None-Match"] = etag
        if modified:
            headers["If-Modified-Since"] = modified
        try:
            response = self._get(address, headers)
            with response:
                if response.status_code == 304 and (etag or modified):
                    return None
                if response.status_code != 200:
                    raise _refusal(response)
                content = _read(response)
        except RegistryUnavailable as error:
            raise HubProblem(Problem.UNREACHABLE, str(error)) from error
        except RegistryError as error:
            raise HubProblem(Problem.UNEXPECTED, str(error)) from error
        return self._parsed(content, address, response.headers)

    def _get(self, address: str, headers: dict[str, str]) -> requests.Response:
        for _redirect in range(_MOST_REDIRECTS + 1):
            response = self._connections.send("GET", address, headers)
            if response.status_code not in _REDIRECTS:
                return response
            response.close()
            address = self._joined(address, response.headers.get("Location", ""))
        raise HubProblem(Problem.UNEXPECTED, "it redirects again and again")

    def _joined(self, address: str, link: str) -> str:
        """The URL of a link on the page ``address``; it must be on Docker Hub, too."""
        try:
            joined = urljoin(address, link)
            if _origin(joined) == _origin(self._base):
                return joined
        except ValueError:
            pass
        raise HubProblem(Problem.UNEXPECTED, f"it points to another host: {link[:200]!r}")

    def _parsed(self, content: bytes, address: str, headers: Any) -> Page:
        try:
            answer = json.loads(content)
            rows, total, following = answer["results"], answer["count"], answer.get("next") or ""
            whole = isinstance(rows, list) and type(total) is int and 0 <= total < 1 << 31 and type(following) is str
            if not whole:
                raise TypeError("fields of the wrong type")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise HubProblem(Problem.UNEXPECTED, f"it does not answer with a page of a list: {error!r}"[:300]) from None
        if following:
            following = self._joined(address, following)
        return Page(
            [row for row in rows if isinstance(row, dict)],
            total,
            following,
            _validator(headers.get("ETag", "")),
            _validator(headers.get("Last-Modified", "")),
        )


def _origin(address: str) -> tuple[str, str, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _validator(text: str) -> str:
    """A validator that can be sent back, or nothing."""
    return text if _VALIDATOR.fullmatch(text) else ""


def _read(response: requests.Response) -> bytes:
    end = time.monotonic() + _PAGE_SECONDS
    content = bytearray()
    for piece in pieces(response):
        content += piece
        if len(content) > LARGEST_PAGE:
            raise HubProblem(Problem.UNEXPECTED, f"a page is larger than {LARGEST_PAGE} bytes")
        if time.monotonic() > end:
            raise HubProblem(Problem.UNREACHABLE, f"a page took longer than {_PAGE_SECONDS:g} s")
    return bytes(content)


def _refusal(response: requests.Response) -> HubProblem:
    """The error for a response other than 200."""
    status = response.status_code
    detail = f"it answers {status}"
    if status == 429:
        return HubProblem(Problem.BUSY, detail, _wait(response.headers.get("Retry-After", "")))
    if status >= 500:
        after = response.headers.get("Retry-After", "")
        return HubProblem(Problem.BROKEN, detail, _wait(after) if after else None)
    if status in {401, 403}:
        return HubProblem(Problem.REFUSED, detail)
    if status == 404:
        return HubProblem(Problem.UNKNOWN, detail)
    return HubProblem(Problem.UNEXPECTED, detail)


def _wait(after: str) -> float:
    """Seconds to wait according to ``Retry-After`` (RFC 9110, 10.2.3), which Docker Hub also sends as a Unix time.

    At least a second and at most six hours; a minute if it is invalid.
    """
    after = after.strip()
    now = time.time()
    if after.isascii() and after.isdigit() and len(after) < 12:
        seconds = float(after)
        if seconds > 1e9:  # a Unix time
            seconds -= now
    else:
        try:
            seconds = parsedate_to_datetime(after).replace(tzinfo=datetime.UTC).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            seconds = _WAIT
    return min(max(seconds, 1.0), _LONGEST_WAIT)
