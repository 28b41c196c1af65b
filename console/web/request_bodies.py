"""Request bodies: they are read whole or not at all, chunked ones get a length, compressed ones are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from io import BytesIO
from typing import Any

from django.http import HttpRequest, HttpResponse

from console.web import protocol_errors
from console.web.errors import small_error_page
from registry_client.transport import MANIFEST_LIMIT

# Bytes that are read of a body, whatever the application does with it. The edge lets no more through.
LONGEST = MANIFEST_LIMIT + 64 * 1024

_COMPRESSED = "The request is compressed, which is not supported. Send it without compression."


def read_whole(environ: dict[str, Any]) -> bool:
    """Read the body of a request in advance; of one that is longer than ``LONGEST``, one byte more than that.

    A client, or the edge in its place, may disconnect in the middle of it. The WSGI server then reports the end of the
    body, and Django would take a form that broke off for a shorter one.

    A body that is too long for the application is read as well: otherwise the server would close the connection while
    the edge still sends the rest, and the answer that says so might be lost.

    :param environ: of the WSGI request; changed in place.
    :return: ``False`` when the body ended before its length.
    """
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or not int(length):
        return True
    wanted = min(int(length), LONGEST + 1)
    body = environ["wsgi.input"].read(wanted)
    environ["wsgi.input"] = BytesIO(body)
    return len(body) == wanted


def set_length(environ: dict[str, Any]) -> None:
    """Set ``CONTENT_LENGTH`` for a chunked body (RFC 9112, 7.1): Django needs it to read the body.

    At most ``LONGEST`` and one byte is read; Django or the gate refuses the body by its length. The server decodes the
    chunks and sets ``wsgi.input_terminated``; without it the body counts as empty, as in Django.

    :param environ: of the WSGI request; changed in place.
    """
    if "HTTP_TRANSFER_ENCODING" not in environ or not environ.get("wsgi.input_terminated"):
        return
    body = environ["wsgi.input"].read(LONGEST + 1)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["wsgi.input"] = BytesIO(body)


class CompressedMiddleware:
    """Refuses compressed bodies: 415 for a content coding (RFC 9110, 15.5.16), 501 for a transfer coding (9112, 6.1).

    Django does not decompress, so a form would seem to have no fields. The registry's notifications are passed to their
    view, which counts unreadable ones instead: the registry would resend a refused notification for ever.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Refuse the request, or pass it on."""
        status = self._problem(request)
        if status is None or request.path_info == protocol_errors.NOTIFICATIONS:
            return self._get_response(request)
        if protocol_errors.speaks_protocol(request.path_info):
            body = json.dumps(protocol_errors.content("UNSUPPORTED", _COMPRESSED))
            response = HttpResponse(body, status=status, content_type="application/json")
        else:
            response = small_error_page(request, "errors/compressed.html", status)
        if status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            response["Accept-Encoding"] = "identity"
        return response

    @staticmethod
    def _problem(request: HttpRequest) -> HTTPStatus | None:
        if request.META.get("HTTP_TRANSFER_ENCODING", "chunked").strip().lower() != "chunked":
            return HTTPStatus.NOT_IMPLEMENTED
        coding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE if coding not in {"", "identity"} else None
