"""Security headers: content security policy and others."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from console.web import policies


class HeadersMiddleware:
    """Adds ``settings.SECURE_CSP``, the Permissions-Policy and the Cross-Origin-Resource-Policy to each answer.

    It is the outermost middleware, so that errors and redirects have them too. Django's own middlewares add the others
    (HSTS, frames, types, referrers). The edge sets the same for static files: a browser can also open a picture by its
    URL.

    Why not django-csp: no page has inline scripts or styles, and fragments of pages are cached, so there is one
    constant policy without nonces. The library would build the same text twice for each response, including token
    responses. The setting has the name and form of Django 6.0, whose own ``ContentSecurityPolicyMiddleware`` will
    replace this.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._headers = {
            "Content-Security-Policy": policies.format_csp(settings.SECURE_CSP),
            "Permissions-Policy": policies.format_permissions(settings.PERMISSIONS_POLICY),
            "Cross-Origin-Resource-Policy": policies.CROSS_ORIGIN_RESOURCE,
        }

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, with the headers."""
        response = self.get_response(request)
        for name, value in self._headers.items():
            response.headers.setdefault(name, value)
        return response
