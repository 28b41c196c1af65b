"""Request timeout, and cancellation when the client has disconnected.

Checked before each SQL statement of a GET; a request that changes something always runs to its end. A single statement
has its own timeout (``console.database.statements``).
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse

from console.database.statements import took_too_long
from console.web.errors import small_error_page

# URL names without timeout: the callback signs in with a code that the identity provider accepts only once.
_WITHOUT_TIMEOUT = {"sso-callback"}
# nginx's status for a client that has closed the connection.
_CLIENT_GONE = 499


class GivenUp(BadRequest):
    """The request is cancelled: timeout, or the client has closed the connection.

    A ``BadRequest``, so that Django calls its handler wherever this is raised, in a view or before it.
    """

    def __init__(self, gone: bool) -> None:
        super().__init__("the client has gone" if gone else "it takes too long")
        self.gone = gone


class DeadlineMiddleware:
    """Cancels GET requests after ``REQUEST_SECONDS``, or when their client has disconnected."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on; each of its SQL statements checks the timeout first."""
        if request.method not in {"GET", "HEAD"}:
            return self._get_response(request)
        until = time.monotonic() + settings.REQUEST_SECONDS
        client = request.META.get("gunicorn.socket")

        def ask(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
            if request.resolver_match is not None and request.resolver_match.url_name in _WITHOUT_TIMEOUT:
                return execute(sql, params, many, context)
            if has_disconnected(client):
                raise GivenUp(gone=True)
            if time.monotonic() >= until:
                raise GivenUp(gone=False)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(ask):
            return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer a cancelled request, or one whose SQL statement timed out."""
        return given_up(request, exception)


def given_up(request: HttpRequest, problem: BaseException | None) -> HttpResponse | None:
    """503 for a timeout, 499 for a client that has disconnected, ``None`` for any other exception."""
    if isinstance(problem, GivenUp) and problem.gone:
        return HttpResponse(status=_CLIENT_GONE)
    if isinstance(problem, GivenUp) or (problem is not None and took_too_long(problem)):
        response = small_error_page(request, "errors/slow.html", HTTPStatus.SERVICE_UNAVAILABLE)
        response["Retry-After"] = "10"
        return response
    return None


def has_disconnected(client: socket.socket | None) -> bool:
    """Whether the client has closed its connection. Does not consume data that the client has sent."""
    if client is None:
        return False
    try:
        poll = select.poll()
        poll.register(client, select.POLLIN)
        # A socket with a timeout would wait for something to read.
        return bool(poll.poll(0)) and client.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):  # ValueError: it is closed here, too
        return True
