"""Serve API endpoints (tokens, notifications, the gate) before the browser-only middleware."""

from __future__ import annotations

import functools
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import resolve, reverse

from console.audit.middleware import client_address
from console.audit.origin import ANONYMOUS, Origin, set_origin
from console.web import protocol_errors

# Each request carries its own credentials, in its headers or its form.
_NAMES = ("token", "notifications")


class ApiEndpointsMiddleware:
    """Serves the token endpoint, the registry's notifications and the gate, and skips all later middleware.

    The later ones are for browsers: sessions, CSRF, messages, languages, htmx. They took a tenth of the time of a token
    request, and every login, push and pull waits for one. Middleware for all responses comes before this one.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    @functools.cached_property
    def _views(self) -> dict[str, Callable[[HttpRequest], HttpResponse]]:
        return {address: resolve(address).func for address in map(reverse, _NAMES)}

    def _view(self, path: str) -> Callable[[HttpRequest], HttpResponse] | None:
        if path.startswith(protocol_errors.REGISTRY_API):
            match = resolve(path)
            return functools.partial(match.func, *match.args, **match.kwargs)
        return self._views.get(path)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Serve an API endpoint, or pass the request on."""
        view = self._view(request.path_info)
        if view is None:
            return self._get_response(request)
        # There is no session here: audit events name their actor themselves.
        set_origin(Origin(lambda: ANONYMOUS, client_address(request)))
        try:
            return view(request)
        finally:
            set_origin(None)
