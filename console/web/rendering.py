"""Render a page, or the partial that htmx requested."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

# Longest search text, in characters. The longest name, ``namespace/name``, has 231.
LONGEST_SEARCH = 255


def signed_in(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """View decorator: redirect anonymous users to the sign-in page.

    When a session has ended, an open page may still request partials. A redirect would put the sign-in page into the
    place of the partial, so htmx is told to load the sign-in page with a message and a link back (``next``).
    """
    whole_page = login_required(view)

    @functools.wraps(view)
    def wrapper(request: Any, *arguments: Any, **options: Any) -> HttpResponse:
        if request.htmx and not request.user.is_authenticated:
            _inform_once(request, _("You are signed out. Sign in to continue."))
            place = urlencode({"next": _current_page(request) or reverse("home")})
            return HttpResponseClientRedirect(f"{reverse(settings.LOGIN_URL)}?{place}")
        return whole_page(request, *arguments, **options)

    return wrapper


def _inform_once(request: HttpRequest, text: str) -> None:
    """Queue an informational message unless the same text is queued already: a page may send several requests."""
    queued = messages.get_messages(request)
    known = any(message.message == text for message in queued)
    queued.used = False  # type: ignore[union-attr]  # reading marks it as shown
    if not known:
        messages.info(request, text)


def page(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any],
    *,
    part: str = "",
    partial: str = "",
    frame: str = "base.html",
    status: int = 200,
) -> HttpResponse:
    """Render a page, or a partial when htmx requests the element with the ID ``part``.

    A template that begins with ``{% extends frame %}``, such as a list, has both in one file: its block ``body`` is put
    into the page, or sent alone. The context variable ``swapped`` says which; a partial may also update other elements
    (``hx-swap-oob``).

    :param part: the ID of the element.
    :param partial: the template of the partial, if it has its own.
    :param frame: the template around the body of the page.
    """
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
    swapped = bool(part and htmx and not htmx.history_restore_request and htmx.target == part)
    context = {**context, "swapped": swapped, "part": part, "frame": "components/part.html" if swapped else frame}
    response = render(request, partial if swapped and partial else template, context, status=status)
    # One URL, two responses: going back in a browser must not show the cached partial.
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response


def dialog(
    request: HttpRequest, template: str, title: str, context: Mapping[str, Any], *, invalid: bool = False
) -> HttpResponse:
    """Render a dialog: only the ``<dialog>`` for htmx, a whole page without JavaScript."""
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
    frame = "components/_dialog.html" if htmx and not htmx.history_restore_request else "components/dialog_page.html"
    response = render(request, template, {**context, "frame": frame, "title": title}, status=422 if invalid else 200)
    patch_vary_headers(response, ["HX-Request"])
    return response


def go(request: HttpRequest, address: str) -> HttpResponse:
    """Redirect the browser to ``address``, from a dialog (htmx) or from a page."""
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
    return HttpResponseClientRedirect(address) if htmx else HttpResponseRedirect(address)


def _current_page(request: HttpRequest) -> str | None:
    """Path and query of the page that sent the htmx request; ``None`` if unknown, or on another site."""
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
    try:
        return htmx.current_url_abs_path if htmx else None
    except ValueError:
        return None  # not a URL


def came_from(request: HttpRequest, place: str, *others: str) -> str:
    """The page on which the dialog was opened, with its query string (search, sort, page), if it is one of these.

    :param place: a URL of this site; the answer if the dialog was opened elsewhere.
    :param others: more such URLs.
    """
    address = _current_page(request)
    if address and url_has_allowed_host_and_scheme(address, allowed_hosts=None):
        parts = urlsplit(address)
        if not parts.netloc and parts.path in (place, *others):
            return address
    return place


def refuse_typed(request: HttpRequest, to_type: str, *others: str) -> str:
    """Why a deletion is not confirmed yet: the text that has to be typed was not (``components/_typed.html``).

    :param to_type: the text; empty where nothing has to be typed.
    :param others: longer forms of it that count too.
    :return: a sentence, or nothing.
    """
    if not to_type or request.POST.get("typed", "").strip() in (to_type, *others):
        return ""
    return _("Type “%s” to confirm.") % to_type


def add_errors(form: BaseForm, problem: ValidationError) -> None:
    """Add a service's validation error to the form: to its field, or to the form if it has no such field."""
    if not hasattr(problem, "error_dict"):
        form.add_error(None, problem)
        return
    for name, errors in problem.error_dict.items():
        form.add_error(name if name in form.fields else None, errors)


def search_text(query: QueryDict) -> str:
    """The search text from the URL, without NUL, which the database cannot store.

    A text longer than any name is cut and ends in "…", which no name contains: so it matches nothing.
    """
    text = query.get("q", "").replace("\x00", "").strip()
    return text if len(text) <= LONGEST_SEARCH else f"{text[:LONGEST_SEARCH]}…"
