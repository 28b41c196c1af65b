"""The share that one account may have of the threads that make pages."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

# Threads of each process that one account leaves to all others, tokens among them.
_LEFT = 2


class ShareMiddleware:
    """Refuses an account's request while as many of its own are being answered in this process as it may have.

    Whoever asks for many pages at once, however long each takes, waits for their own and not others for them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._lock = threading.Lock()
        self._under_way: Counter[str] = Counter()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on; 429 where the account has its share."""
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return self._get_response(request)
        account = request.session.get(SESSION_KEY)
        if account is None:
            return self._get_response(request)
        most = max(settings.WEB_THREADS - _LEFT, 1)
        with self._lock:
            if self._under_way[account] >= most:
                return _refusal()
            self._under_way[account] += 1
        try:
            return self._get_response(request)
        finally:
            with self._lock:
                self._under_way[account] -= 1
                if not self._under_way[account]:
                    del self._under_way[account]


def _refusal() -> HttpResponse:
    response = HttpResponse(render_to_string("errors/busy.html"), status=HTTPStatus.TOO_MANY_REQUESTS)
    response["Retry-After"] = "1"
    return response
