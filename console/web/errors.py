"""Error pages: in the console's frame for those who are signed in, a small page for others and where less works."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse

log = logging.getLogger(__name__)

_FRAMED, _SMALL = "errors/framed.html", "errors/small.html"


def error_page(request: HttpRequest, template: str, status: int, **context: Any) -> HttpResponse:
    """An error page with the sidebar where the request is that of a page by somebody signed in, else the small page.

    Who is signed in is read from session and database. Where that fails for whatever reason, the page is the small one:
    an error page never fails.

    :param context: what the template needs.
    """
    if _is_for_a_page(request):
        try:
            if request.user.is_authenticated:
                framed = {**_context(request), **context, "frame": _FRAMED}
                return render(request, template, framed, status=status)
        except Exception:
            log.warning("an error page (%s) is shown without the sidebar", status, exc_info=True)
    return small_error_page(request, template, status, **context)


def small_error_page(request: HttpRequest, template: str, status: int, **context: Any) -> HttpResponse:
    """An error page without the sidebar. Asks neither session nor database.

    :param context: what the template needs.
    """
    return HttpResponse(render_to_string(template, {**_context(request), **context, "frame": _SMALL}), status=status)


def _is_for_a_page(request: HttpRequest) -> bool:
    """Whether the answer is shown as a page, to somebody who may be signed in.

    Parts of pages, which ``static/js`` asks for, show a notice instead. Without the attribute the request was refused
    before it was known who asks.
    """
    return (
        hasattr(request, "user")
        and settings.SESSION_COOKIE_NAME in request.COOKIES
        and "HX-Request" not in request.headers
        and request.accepts("text/html")
    )


def _context(request: HttpRequest) -> dict[str, Any]:
    """What every error page offers: addresses, empty where something is not offered.

    ``retry`` says whether the request can be repeated without changing anything.
    """
    reads = request.method == "GET"
    back = urlencode({"next": request.get_full_path()})
    return {
        "home": reverse("home"),
        "help": reverse("help"),
        "retry": reads,
        "sign_in": f"{reverse(settings.LOGIN_URL)}?{back}" if reads else "",
    }
