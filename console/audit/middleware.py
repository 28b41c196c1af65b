"""Middleware that records the account and IP address behind a request, for audit events."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from console.audit.origin import ANONYMOUS, Origin, set_origin


def client_address(request: HttpRequest) -> str | None:
    """The address the request came from, or ``None`` when the server did not say (a Unix socket)."""
    return _written(request.META.get("REMOTE_ADDR", ""))


@functools.lru_cache(4096)
def _written(address: str) -> str | None:
    try:
        # Less the name of the interface (RFC 4007, 11), which PostgreSQL's inet does not take.
        found = ipaddress.ip_address(address.partition("%")[0])
        return str(getattr(found, "ipv4_mapped", None) or found)
    except ValueError:
        return None


class ActorMiddleware:
    """Sets the origin for the time of a request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer ``request`` with its origin known."""

        def actor() -> str:
            return request.user.account_id if request.user.is_authenticated else ANONYMOUS

        set_origin(Origin(actor, client_address(request)))
        try:
            return self.get_response(request)
        finally:
            set_origin(None)
