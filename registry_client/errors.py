"""What can go wrong when talking to a registry, with the registry's own code and message where it gave them."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any

_LONGEST_MESSAGE = 300
_SECRET = re.compile(r"\b(?:bearer|basic)\s+[\w.~+/=-]+|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?", re.IGNORECASE)


def _fit_for_a_log(text: str) -> str:
    """One line of bounded length without anything that looks like a token: registries repeat what they were sent."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return _SECRET.sub("[removed]", line)[:_LONGEST_MESSAGE].strip()


class RegistryError(Exception):
    """A call to the registry failed. ``str()`` of it is one line for a log and holds no credentials.

    ``status`` is the HTTP status, ``None`` when there was no answer; ``code`` the registry's error code such as
    ``MANIFEST_UNKNOWN``, or empty; ``message`` a sentence; ``detail`` what the registry added, as it came; ``request``
    the method and path of the call.
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
    """No connection, a time-out, or a registry that says it cannot answer now (5xx, 429)."""


class Unauthorized(RegistryError):
    """401: no credentials, or none the registry accepts for this."""


class Denied(RegistryError):
    """403: known, but not allowed."""


class NotFound(RegistryError):
    """404, in the registry's own words: what was asked for is not there."""


class ManifestUnknown(NotFound):
    """There is no such manifest or tag."""


class NameUnknown(NotFound):
    """There is no such repository."""


class BlobUnknown(NotFound):
    """There is no such blob in this repository."""


class ManifestBlobUnknown(RegistryError):
    """A manifest was refused because it names a blob or a child the repository does not have."""


class Unsupported(RegistryError):
    """405: this registry does not do that, for example because deletes are switched off."""


class UnexpectedAnswer(RegistryError):
    """The answer is not one of a registry: HTML, a redirect, no JSON, the wrong shape, too large."""


class AnswerTooLarge(UnexpectedAnswer):
    """The answer has more bytes than the caller wants to hold."""


class DigestMismatch(RegistryError):
    """Content does not have the digest or the size it was said to have."""


class MalformedManifest(RegistryError):
    """A manifest's content cannot be understood."""


class UnreadableContent(RegistryError):
    """A repository holds something under a digest that the registry, which otherwise works, cannot give out."""


class RefusedAddress(RegistryError):
    """A call was not made, because its address is not one that may be called (``registry_client.guard``)."""


class RefusedTokenServer(RegistryError):
    """No token was asked for, because the registry named a token server that is not its own (``realms``).

    ``host`` is the host name of that server, bounded and printable; ``without_tls`` says that this is what is wrong.
    """

    def __init__(self, message: str, *, host: str, without_tls: bool = False) -> None:
        super().__init__(message)
        self.host = _fit_for_a_log(host)
        self.without_tls = without_tls


class InvalidName(RegistryError, ValueError):
    """Not the name of a repository, a tag or a digest."""


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
    """The first entry of an error body (Distribution specification, "Errors"), ``None`` when it is no such body."""
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
    """The exception for an answer that is not the one hoped for.

    A 404 counts as the registry's word that something is not there only when it comes in the registry's form: a proxy's
    page that says "not found" must not make anybody believe that an image is gone.

    :param missing: what a 404 without a body means, for a HEAD request.
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
