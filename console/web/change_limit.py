"""Middleware: rate limit for changing requests of an account (429)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from console.throttling import change_limit
from console.web.errors import error_page

_SAFE = {"GET", "HEAD", "OPTIONS", "TRACE"}
# Never limited: an account must be able to end a session that an attacker uses. Passwords have their own rate limit.
_ALWAYS = {"sign-out", "password_change", "logins-revoke", "login-revoke", "admin-password-change", "logout"}


class ChangeLimitMiddleware:
    """Answers 429 (RFC 6585, 4) to changing requests of an account above its rate limit, also in the administration.

    It comes after the CSRF check: forged requests from other sites are not counted.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on."""
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], arguments: Any, parts: dict[str, Any]
    ) -> HttpResponse | None:
        """Count a changing request of a signed-in account; answer 429 when it is rate limited."""
        if request.method in _SAFE or not request.user.is_authenticated:
            return None
        if request.resolver_match is not None and request.resolver_match.url_name in _ALWAYS:
            return None
        seconds = change_limit.count(request.user.pk)
        if not seconds:
            return None
        response = error_page(request, "errors/429.html", 429, limit=settings.CHANGES_PER_MINUTE)
        response["Retry-After"] = str(seconds)
        return response
