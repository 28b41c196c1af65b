"""Exceptions of calls to a registry, with the registry's own error code and message if it sent them."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any

_LONGEST_MESSAGE = 300
_SECRET = re.compile(r"\b(?:bearer|basic)\s+[\w.~+/=-]+|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?", re.IGNORECASE)


def _fit_for_a_log(text: str) -> str:
    """One line of bounded length, without tokens: registries may echo what they received."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return _SECRET.sub("[removed]", line)[:_LONGEST_MESSAGE].strip()


class RegistryError(Exception):
    """A call to the registry failed. ``str()`` is one line for a log, without credentials.

    ``status`` is the HTTP status, ``None`` if there was no response; ``code`` the registry's error code such as
    ``MANIFEST_UNKNOWN``, or empty; ``message`` a sentence; ``detail`` the registry's detail, unchanged; ``request`` the
    method and path of the call.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        code: str = "",
        detail: Any = None,
        request: str = "",
    ) -> None:
        self.message = _fit_for_a_log(message)
        super().__init__(self.message)
        self.status = status
        self.code = _fit_for_a_log(code)
        self.detail = detail
        self.request = request

    def __str__(self) -> str:
        answer = " ".join(str(part) for part in (self.status, self.code) if part)
        return ": ".join(part for part in (self.request, answer, self.message) if part)


class RegistryUnavailable(RegistryError):
    """No connection, a timeout, a server error (5xx) or a rate limit (429)."""


class Unauthorized(RegistryError):
    """401: no credentials, or the registry rejects them."""


class Denied(RegistryError):
    """403: authenticated, but not allowed."""


class NotFound(RegistryError):
    """404 in the registry's format: the requested item does not exist."""


class ManifestUnknown(NotFound):
    """The manifest or tag does not exist."""


class NameUnknown(NotFound):
    """The repository does not exist."""


class BlobUnknown(NotFound):
    """The blob does not exist in this repository."""


class ManifestBlobUnknown(RegistryError):
    """A manifest was rejected because it names a blob or a child that the repository does not have."""


class Unsupported(RegistryError):
    """405: the registry does not support this, for example because deletes are disabled."""


class UnexpectedAnswer(RegistryError):
    """The response is not from a registry: HTML, a redirect, invalid JSON, a wrong structure, too large."""


class AnswerTooLarge(UnexpectedAnswer):
    """The response is larger than the caller's limit."""


class DigestMismatch(RegistryError):
    """Content does not have the expected digest or size."""


class MalformedManifest(RegistryError):
    """A manifest's content is malformed."""


class UnreadableContent(RegistryError):
    """The registry has the content, but cannot read it; other calls work."""


class RefusedAddress(RegistryError):
    """A call was not sent, because its address is not allowed (SSRF guard, ``registry_client.guard``)."""


class RefusedTokenServer(RegistryError):
    """No token was requested, because the token server does not belong to the registry (``realms``).

    ``host`` is the host name of that server, bounded and printable; ``without_tls`` says that missing TLS is the
    reason.
    """

    def __init__(self, message: str, *, host: str, without_tls: bool = False) -> None:
        super().__init__(message)
        self.host = _fit_for_a_log(host)
        self.without_tls = without_tls


class InvalidName(RegistryError, ValueError):
    """An invalid name of a repository, tag or digest."""


_BY_CODE: dict[tuple[int, str], type[RegistryError]] = {
    (404, "MANIFEST_UNKNOWN"): ManifestUnknown,
    (404, "NAME_UNKNOWN"): NameUnknown,
    (404, "BLOB_UNKNOWN"): BlobUnknown,
    (404, "MANIFEST_BLOB_UNKNOWN"): ManifestBlobUnknown,
    (400, "MANIFEST_BLOB_UNKNOWN"): ManifestBlobUnknown,
}
_BY_STATUS: dict[int, type[RegistryError]] = {
    401: Unauthorized,
    403: Denied,
    404: NotFound,
    405: Unsupported,
    429: RegistryUnavailable,
}
_IMPLIED_CODE: dict[type[RegistryError], str] = {
    ManifestUnknown: "MANIFEST_UNKNOWN",
    BlobUnknown: "BLOB_UNKNOWN",
}


def _first_error(content: bytes) -> dict[str, Any] | None:
    """The first entry of an error body (Distribution specification, "Errors"); ``None`` for another body."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    errors = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(errors, list) or not errors or not isinstance(errors[0], dict):
        return None
    return errors[0]


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def from_answer(
    status: int, content: bytes, media_type: str, request: str, missing: type[NotFound] | None = None
) -> RegistryError:
    """The exception for an error response.

    A 404 counts as ``NotFound`` only in the registry's format: a proxy's "not found" page does not prove that an image
    is gone.

    :param missing: the exception for a 404 without a body, for HEAD requests.
    """
    error = _first_error(content)
    if error is not None:
        code, message = (error.get(key) for key in ("code", "message"))
        code, message = (value if isinstance(value, str) else "" for value in (code, message))
        kind = _BY_CODE.get((status, code)) or _kind_by_status(status)
        return kind(message or _phrase(status), status=status, code=code, detail=error.get("detail"), request=request)
    if status == 404:
        if missing is not None and media_type == "application/json":
            return missing("Not Found", status=status, code=_IMPLIED_CODE.get(missing, ""), request=request)
        return UnexpectedAnswer("the answer is not a registry's", status=status, request=request)
    return _kind_by_status(status)(_phrase(status), status=status, request=request)


def _kind_by_status(status: int) -> type[RegistryError]:
    if status < 400:
        return UnexpectedAnswer
    if status >= 500:
        return RegistryUnavailable
    return _BY_STATUS.get(status, RegistryError)
