"""Serve API endpoints (tokens, notifications) before the browser-only middleware."""

from __future__ import annotations

import functools
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import resolve, reverse

from console.audit.middleware import client_address
from console.audit.origin import ANONYMOUS, Origin, set_origin

# Each proves who asks with every request, by what it sends in its own headers or form.
_NAMES = ("token", "notifications")


class ProgramsMiddleware:
    """Answers the token endpoint and the registry's notifications here, without the middleware that follows.

    That is for browsers: sessions, forms, messages, languages, parts of pages. It took a tenth of a token's time, and
    a token is in the way of every login, push and pull. What holds for every answer comes before this.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    @functools.cached_property
    def _views(self) -> dict[str, Callable[[HttpRequest], HttpResponse]]:
        return {address: resolve(address).func for address in map(reverse, _NAMES)}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a program, or pass a person's request on."""
        view = self._views.get(request.path_info)
        if view is None:
            return self._get_response(request)
        # Nobody has a session here: what is written down for somebody names them itself.
        set_origin(Origin(lambda: ANONYMOUS, client_address(request)))
        try:
            return view(request)
        finally:
            set_origin(None)
