"""Middleware that records the account and IP address behind a request, for audit events."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from console.audit.origin import ANONYMOUS, Origin, set_origin


def client_address(request: HttpRequest) -> str | None:
    """The client's IP address, or ``None`` if there is none (a Unix socket)."""
    return _normalised(request.META.get("REMOTE_ADDR", ""))


@functools.lru_cache(4096)
def _normalised(address: str) -> str | None:
    try:
        # Without the zone (RFC 4007, 11), which PostgreSQL's inet does not accept.
        found = ipaddress.ip_address(address.partition("%")[0])
        return str(getattr(found, "ipv4_mapped", None) or found)
    except ValueError:
        return None


class ActorMiddleware:
    """Sets the origin (account and IP address) of audit events during a request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer ``request`` with its origin set."""

        def actor() -> str:
            return request.user.account_id if request.user.is_authenticated else ANONYMOUS

        set_origin(Origin(actor, client_address(request)))
        try:
            return self.get_response(request)
        finally:
            set_origin(None)
