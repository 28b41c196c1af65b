"""A registry's answer, and what the specification asks of it."""

from __future__ import annotations

import json
import re
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import requests

_CODE = re.compile(r"[A-Z_]+")
# Specification, "Error Codes".
ERROR_CODES = frozenset(
    {
        "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DENIED", "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN",
        "SIZE_INVALID", "TOOMANYREQUESTS", "UNAUTHORIZED", "UNSUPPORTED",
    }
)  # fmt: skip
_NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')


class Nonconforming(Exception):
    """An answer that the specification does not allow. The text has nothing in it that differs between runs."""


class Unsupported(Exception):
    """An answer that the specification allows a registry without this optional feature."""


def require(condition: object, text: str) -> None:
    """Check something that the specification asks for.

    :raises Nonconforming: when ``condition`` is false.
    """
    if not condition:
        raise Nonconforming(text)


def with_query(url: str, **parameters: str) -> str:
    """``url`` with further query parameters; those of an upload's location stay."""
    parts = urlsplit(url)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *parameters.items()])
    return parts._replace(query=query).geturl()


class Answer:
    """A registry's answer to one request."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.body = response.content
        self.url = response.url

    def __str__(self) -> str:
        return " ".join([str(self.status), *self.codes[:1]])

    @cached_property
    def document(self) -> Any:
        """The body as JSON; ``None`` if it is not."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def codes(self) -> list[str]:
        """The error codes in the body."""
        errors = self.document.get("errors") if isinstance(self.document, dict) else None
        entries = errors if isinstance(errors, list) else []
        return [str(entry.get("code")) for entry in entries if isinstance(entry, dict)]

    @property
    def media_type(self) -> str:
        """``Content-Type`` as it is, with its parameters."""
        return self.headers.get("Content-Type", "")

    def must_be(self, *statuses: int) -> Answer:
        """Check the status.

        :raises Nonconforming: when it is none of ``statuses``.
        """
        require(self.status in statuses, f"{self} instead of {' or '.join(map(str, statuses))}")
        return self

    def must_be_refused(self) -> Answer:
        """Check that the request was refused because of the client's mistake, and not with a server error."""
        require(400 <= self.status < 500, f"{self} instead of 4xx")
        return self

    def must_have_code(self, *codes: str) -> Answer:
        """Check that the body has one of these error codes ("Error Codes")."""
        self.must_have_error_format()
        require(set(self.codes) & set(codes), f"{self.status} with {self.codes or 'no code'}, not {' or '.join(codes)}")
        return self

    def must_have_error_format(self) -> Answer:
        """Check the form of an error's body, which is required where it is JSON ("Error Codes")."""
        if self.document is None:
            return self
        errors = self.document.get("errors") if isinstance(self.document, dict) else None
        require(isinstance(errors, list) and errors, f"{self.status} with JSON without errors")
        for entry in errors:
            code = entry.get("code")
            require(isinstance(code, str) and _CODE.fullmatch(code), f"{self.status} with an error without a code")
            require(code in ERROR_CODES, f"{self.status} with the code {code}, which is not in the specification")
            require(isinstance(entry.get("message", ""), str), f"{self.status} with a message that is no text")
        return self

    def must_have_header(self, name: str, value: str | None = None) -> str:
        """Check a header, and its value if one is given; returns the value.

        :raises Nonconforming: when it is missing or has another value.
        """
        found = self.headers.get(name)
        require(found, f"{self} without {name}")
        require(value is None or found == value, f"{self} with another {name}")
        return str(found)

    def location(self) -> str:
        """The absolute URL of ``Location``, which may be relative.

        :raises Nonconforming: when there is none.
        """
        return urljoin(self.url, self.must_have_header("Location"))

    def must_have_digest(self, digest: str) -> None:
        """Check ``Docker-Content-Digest``, which is optional in 1.1."""
        found = self.headers.get("Docker-Content-Digest", digest)
        require(found == digest, f"{self} with another Docker-Content-Digest")

    def must_be_content(self, body: bytes, media_type: str = "") -> None:
        """Check that a GET returned exactly these bytes, with their length."""
        self.must_be(200)
        require(self.body == body, f"{self} with other bytes")
        self.must_have_length(body)
        require(not media_type or self.media_type == media_type, f"{self} with the type {self.media_type}")

    def must_have_length(self, body: bytes) -> None:
        """Check ``Content-Length``."""
        self.must_have_header("Content-Length", str(len(body)))

    def next_page(self) -> str:
        """The URL of ``Link`` with the relation ``next`` (RFC 5988); empty if there is none."""
        link = self.headers.get("Link", "")
        if not link:
            return ""
        match = _NEXT.search(link)
        require(match, f"{self} with a Link that is not of the relation next")
        return urljoin(self.url, match[1])
