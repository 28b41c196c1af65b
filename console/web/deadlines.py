"""Request timeout and cancelled requests: a page that takes too long, or that nobody waits for any more, is given up.

Checked before each statement of a GET: a request that changes something runs to its end. A single statement has a limit
of its own (``console.database.statements``).
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

# Signs somebody in, with a code that the identity provider takes once.
_TO_THEIR_END = {"sso-callback"}
# What nginx writes into its log for a client that has closed the connection; nobody reads the answer.
_CLIENT_GONE = 499


class GivenUp(BadRequest):
    """The request is not answered any more: it takes too long, or its client has closed the connection.

    Django tells of a ``BadRequest`` by its handler wherever it is raised, in a view or before it.
    """

    def __init__(self, gone: bool) -> None:
        super().__init__("the client has gone" if gone else "it takes too long")
        self.gone = gone


class DeadlineMiddleware:
    """Gives up requests that only read, ``REQUEST_SECONDS`` after they began or when their client has gone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on; what it asks the database is asked while there is time."""
        if request.method not in {"GET", "HEAD"}:
            return self._get_response(request)
        until = time.monotonic() + settings.REQUEST_SECONDS
        client = request.META.get("gunicorn.socket")

        def ask(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
            if request.resolver_match is not None and request.resolver_match.url_name in _TO_THEIR_END:
                return execute(sql, params, many, context)
            if has_gone(client):
                raise GivenUp(gone=True)
            if time.monotonic() >= until:
                raise GivenUp(gone=False)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(ask):
            return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer a request that was given up, or whose statement took too long."""
        return given_up(request, exception)


def given_up(request: HttpRequest, problem: BaseException | None) -> HttpResponse | None:
    """503 for a request that took too long, 499 for one whose client has gone, ``None`` for any other problem."""
    if isinstance(problem, GivenUp) and problem.gone:
        return HttpResponse(status=_CLIENT_GONE)
    if isinstance(problem, GivenUp) or (problem is not None and took_too_long(problem)):
        response = small_error_page(request, "errors/slow.html", HTTPStatus.SERVICE_UNAVAILABLE)
        response["Retry-After"] = "10"
        return response
    return None


def has_gone(client: socket.socket | None) -> bool:
    """Whether the other side has closed its connection. What it has sent beyond its request stays to be read."""
    if client is None:
        return False
    try:
        poll = select.poll()
        poll.register(client, select.POLLIN)
        # A socket with a timeout would wait for something to read.
        return bool(poll.poll(0)) and client.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):  # ValueError: it is closed here, too
        return True
