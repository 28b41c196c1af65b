"""Concurrency limit for one account's pages: some threads of each process are left to all others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse

from console.web.errors import small_error_page

# Threads of each process that one account leaves to all others, tokens among them; it always has two.
_LEFT, _FEWEST = 2, 2


class ShareMiddleware:
    """Refuses an account's request while as many of its own are being answered in this process as it may have.

    However many pages somebody asks for at once, and however long each takes, others do not wait for them.
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
        most = max(settings.WEB_THREADS - _LEFT, _FEWEST)
        with self._lock:
            if self._under_way[account] >= most:
                return _refusal(request)
            self._under_way[account] += 1
        try:
            return self._get_response(request)
        finally:
            with self._lock:
                self._under_way[account] -= 1
                if not self._under_way[account]:
                    del self._under_way[account]


def _refusal(request: HttpRequest) -> HttpResponse:
    response = small_error_page(request, "errors/busy.html", HTTPStatus.TOO_MANY_REQUESTS)
    response["Retry-After"] = "1"
    return response
