"""Concurrency limit for one account's pages: it cannot occupy all threads of a process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse

from console.web.errors import small_error_page

# Threads of each process that are reserved for other accounts and for token requests; the limit is at least two.
_RESERVED, _LOWEST_LIMIT = 2, 2


class ConcurrencyLimitMiddleware:
    """Answers 429 while too many requests of the same account are in progress in this process.

    However many pages an account requests at once, and however slow they are, others do not wait for them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._lock = threading.Lock()
        self._in_progress: Counter[str] = Counter()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on, or answer 429 when the account is at its limit."""
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return self._get_response(request)
        account = request.session.get(SESSION_KEY)
        if account is None:
            return self._get_response(request)
        limit = max(settings.WEB_THREADS - _RESERVED, _LOWEST_LIMIT)
        with self._lock:
            if self._in_progress[account] >= limit:
                return _too_many_requests(request)
            self._in_progress[account] += 1
        try:
            return self._get_response(request)
        finally:
            with self._lock:
                self._in_progress[account] -= 1
                if not self._in_progress[account]:
                    del self._in_progress[account]


def _too_many_requests(request: HttpRequest) -> HttpResponse:
    response = small_error_page(request, "errors/busy.html", HTTPStatus.TOO_MANY_REQUESTS)
    response["Retry-After"] = "1"
    return response
