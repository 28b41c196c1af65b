"""Error responses to requests that never reach the application: too long, too slow, or not HTTP."""

from __future__ import annotations

import json
from http import HTTPStatus

from gunicorn.http import errors

from console.web import protocol_errors

TOO_SLOW = HTTPStatus.REQUEST_TIMEOUT, "The request did not arrive in time. Send it again."
LINE_TOO_LONG = HTTPStatus.REQUEST_URI_TOO_LONG, "The address of the request is too long. Ask for less at once."
BODY_TOO_LONG = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large."
TOO_MANY_CHUNKS = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request comes in too many chunks. Send larger ones."
HEAD_TOO_LONG = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The header of the request is too long."

# Exceptions of gunicorn's parser; the first match counts.
_PROBLEMS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], tuple[HTTPStatus, str]], ...] = (
    (errors.LimitRequestLine, LINE_TOO_LONG),
    (errors.LimitRequestHeaders, HEAD_TOO_LONG),
    (
        errors.ExpectationFailed,
        (HTTPStatus.EXPECTATION_FAILED, "The only expectation that can be met is 100-continue."),
    ),
    (
        errors.UnsupportedTransferCoding,
        (HTTPStatus.NOT_IMPLEMENTED, "The only transfer coding that can be read is chunked."),
    ),
    (
        (errors.InvalidChunkSize, errors.InvalidChunkExtension, errors.ChunkMissingTerminator),
        (HTTPStatus.BAD_REQUEST, "The body of the request cannot be read: its chunks are malformed."),
    ),
    (errors.ParseException, (HTTPStatus.BAD_REQUEST, "The request cannot be read: it is not valid HTTP/1.1.")),
)
# Errors of the application, although gunicorn derives them from client errors.
_OURS = errors.InvalidResponseHeader, errors.InvalidResponseHeaderName, errors.ConfigurationProblem


def of(problem: Exception) -> tuple[HTTPStatus, str] | None:
    """Status and message for an exception of gunicorn's parser; ``None`` for any other exception."""
    if isinstance(problem, _OURS):
        return None
    return next((answer for kinds, answer in _PROBLEMS if isinstance(problem, kinds)), None)


def path(received: bytes | bytearray) -> str:
    """The path in the request line, as far as received; empty if there is none."""
    line = bytes(received[:4096]).lstrip(b"\r\n").split(b"\n", 1)[0]
    parts = line.split(b" ")
    return parts[1].split(b"?", 1)[0].decode("latin-1") if len(parts) > 1 else ""


def answer(status: HTTPStatus, sentence: str, path: str) -> bytes:
    """A complete HTTP/1.1 response that closes the connection.

    API endpoints get the protocol's error body (``console.web.protocol_errors``), other paths the message as plain
    text.

    :param path: of the request, from ``path``.
    """
    if path in protocol_errors.ADDRESSES:
        kind, body = "application/json", json.dumps(protocol_errors.content("UNSUPPORTED", sentence))
    else:
        kind, body = "text/plain", f"{sentence}\n"
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    return "\r\n".join([*head, "", body]).encode()
