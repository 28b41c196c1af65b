"""Middleware for requests through a trusted reverse proxy."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse

log = logging.getLogger(__name__)


class ProxyMiddleware:
    """Makes ``REMOTE_ADDR`` the address that the outermost trusted proxy saw.

    A proxy adds whom it saw at the end of ``X-Forwarded-For``, behind whatever the client sent, so the list is read
    from its end, and only for as long as those who wrote it are in ``settings.TRUSTED_PROXIES``. What anybody else
    sends under that name changes nothing. ``X-Forwarded-Proto`` is read by gunicorn, which trusts the same proxies.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._trusted = [ipaddress.ip_network(network) for network in settings.TRUSTED_PROXIES]
        self._told = False
        if not self._trusted and not settings.SECURE_SSL_REDIRECT:
            raise MiddlewareNotUsed

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, knowing who asked."""
        address = peer = request.META.get("REMOTE_ADDR", "")
        for hop in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
            if not self._trusts(address):
                break
            try:
                address = str(ipaddress.ip_address(hop.strip()))
            except ValueError:
                break
        request.META["REMOTE_ADDR"] = address
        if not self._told and request.META.get("HTTP_X_FORWARDED_PROTO") == "https" and not request.is_secure():
            # Browsers are sent in circles then, and nobody else sees why.
            self._told = True
            log.warning("%s is no trusted proxy: what it says of its clients is not believed (TRUSTED_PROXIES)", peer)
        return self.get_response(request)

    def _trusts(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        found = getattr(found, "ipv4_mapped", None) or found
        return any(found in network for network in self._trusted)
