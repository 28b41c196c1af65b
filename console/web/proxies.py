"""Middleware for requests through the edge and trusted reverse proxies (``X-Forwarded-For``)."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

log = logging.getLogger(__name__)


class ProxyMiddleware:
    """Sets ``REMOTE_ADDR`` to the client address that the outermost trusted proxy reports.

    Each proxy appends its client's address to ``X-Forwarded-For``, so the list is read from the end, as long as the
    sender is trusted. The edge is trusted: only it reaches our Unix sockets, and it has no address. So are the proxies
    in ``settings.TRUSTED_PROXIES``. Earlier addresses could be forged and are ignored. The edge drops what others say
    (``console.local.edge_configuration``), and gunicorn reads its ``X-Forwarded-Proto``.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._trusted = [ipaddress.ip_network(network) for network in settings.TRUSTED_PROXIES]
        self._warned = False

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, with the client's address in ``REMOTE_ADDR``."""
        address = request.META.get("REMOTE_ADDR", "")
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        for hop in reversed(hops):
            if not self._trusts(address):
                break
            try:
                address = str(ipaddress.ip_address(hop))
            except ValueError:
                break
        if not self._warned and request.META.get("HTTP_X_CLAIMED_PROTO") == "https" and not request.is_secure():
            # Browsers would then be redirected in an endless loop, without any other hint at the cause.
            self._warned = True
            log.warning("%s is not a trusted proxy: its X-Forwarded headers are ignored (TRUSTED_PROXIES)", hops[-1])
        request.META["REMOTE_ADDR"] = address
        return self.get_response(request)

    def _trusts(self, address: str) -> bool:
        if not address:
            return True
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        found = getattr(found, "ipv4_mapped", None) or found
        return any(found in network for network in self._trusted)
