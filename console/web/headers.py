"""Security headers: content security policy and others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from django.conf import settings
from django.http import HttpRequest, HttpResponse


def written(policy: Mapping[str, Iterable[str]]) -> str:
    """A Content-Security-Policy as its header has it (CSP Level 3, 2.2.1): each directive with its sources."""
    return "; ".join(" ".join([directive, *sources]) for directive, sources in policy.items())


class HeadersMiddleware:
    """Adds ``settings.SECURE_CSP``, the Permissions-Policy and the Cross-Origin-Resource-Policy to each answer.

    It is the outermost one, so that errors, redirects and static files have them too: a picture that somebody opens by
    its address is a page as well. What Django's own middlewares add (HSTS, frames, types, referrers) is theirs to add.

    Why not django-csp: no page here has inline script or style, parts of pages are rendered once and kept, and so
    there is one policy without nonces, a constant, for all. The library would put the same text together anew, twice,
    for each answer, those of the token endpoint included. The setting is named and built as Django 6.0 has it, whose
    own ``ContentSecurityPolicyMiddleware`` replaces this.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._headers = {
            "Content-Security-Policy": written(settings.SECURE_CSP),
            "Permissions-Policy": ", ".join(f"{name}=({who})" for name, who in settings.PERMISSIONS_POLICY.items()),
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, with the headers."""
        response = self.get_response(request)
        for name, value in self._headers.items():
            response.headers.setdefault(name, value)
        return response
