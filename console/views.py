"""Health check and error pages."""

from __future__ import annotations

import json
import sys

from django.conf import settings
from django.core.exceptions import DisallowedHost, RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console.web import protocol_errors
from console.web.deadlines import given_up
from console.web.errors import error_page, small_error_page


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Health check: whether this process serves requests. Uses neither database nor registry."""
    return HttpResponse("ok\n", content_type="text/plain")


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400; 413 for a request that is too long; 503 or 499 for a cancelled one (``console.web.deadlines``)."""
    if exception is not None and (response := given_up(request, exception)):
        return response
    if isinstance(exception, DisallowedHost):
        if protocol_errors.speaks_protocol(request.path_info):
            return _another_address()
        # Other addresses of this site would be refused in the same way.
        return small_error_page(request, "errors/host.html", 400, home=settings.CONSOLE_URL, help="")
    if isinstance(exception, RequestDataTooBig | TooManyFieldsSent | TooManyFilesSent):
        return error_page(request, "errors/413.html", 413)
    return error_page(request, "errors/400.html", 400)


def _another_address() -> HttpResponse:
    """400 for a registry client that names another host, with the protocol's error body: clients print its sentence."""
    sentence = (
        f"My Images has another address: use {settings.REGISTRY_ADDRESS}, "
        "or ask an administrator to allow this name (ALLOWED_HOSTS)."
    )
    response = HttpResponse(json.dumps(protocol_errors.content("UNSUPPORTED", sentence)), status=400)
    response["Content-Type"] = "application/json"
    response["Cache-Control"] = "no-store"
    return response


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403: permission denied, with the sentence that a page gives (``console.sharing.guards``)."""
    return error_page(request, "errors/403.html", 403, sentence=str(exception or ""))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404; identical for objects that do not exist and objects of other accounts."""
    return error_page(request, "errors/404.html", 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500; 503 when the database cannot be reached, or times out. Uses neither database nor session."""
    problem = sys.exc_info()[1]
    if response := given_up(request, problem):
        return response
    if isinstance(problem, OperationalError | InterfaceError):
        response = small_error_page(request, "errors/503.html", 503)
        response["Retry-After"] = "5"
        return response
    return small_error_page(request, "errors/500.html", 500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form that fails the CSRF check: from another site, or too old."""
    return error_page(request, "errors/csrf.html", 403)
