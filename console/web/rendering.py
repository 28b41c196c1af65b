"""Render a page, or the partial that htmx asked for."""

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

# Characters of the longest name that can be searched for are fewer: ``namespace/name`` has up to 231.
LONGEST_SEARCH = 255


def signed_in(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Send those who are not signed in to sign in.

    A page whose session has ended asks for parts of pages. A redirect would put the sign-in page into the place of such
    a part, so the browser is sent there as a whole, says why, and comes back to the page that it was on.
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
    queued.used = False  # type: ignore[union-attr]  # it was looked at, not shown
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
    """Render a page, or one part of it when htmx asks for the element with the part's ID.

    A template that begins with ``{% extends frame %}``, such as a list, has both in one file: its block ``body`` is put
    into the page, or sent alone. ``swapped`` says which, and may bring along what stands elsewhere on the page
    (``hx-swap-oob``).

    :param part: the ID of that element.
    :param partial: the template of the part, where it has one of its own.
    :param frame: what stands around the body of the page.
    """
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
    swapped = bool(part and htmx and not htmx.history_restore_request and htmx.target == part)
    context = {**context, "swapped": swapped, "part": part, "frame": "components/part.html" if swapped else frame}
    response = render(request, partial if swapped and partial else template, context, status=status)
    # One address, two answers: a browser going back must not find the partial in its cache.
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response


def dialog(
    request: HttpRequest, template: str, title: str, context: Mapping[str, Any], *, invalid: bool = False
) -> HttpResponse:
    """Render a dialog: the ``<dialog>`` alone for htmx, a page of its own without script."""
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
    frame = "components/_dialog.html" if htmx and not htmx.history_restore_request else "components/dialog_page.html"
    response = render(request, template, {**context, "frame": frame, "title": title}, status=422 if invalid else 200)
    patch_vary_headers(response, ["HX-Request"])
    return response


def go(request: HttpRequest, address: str) -> HttpResponse:
    """Send the browser to ``address``, from a dialog or from a page."""
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
    return HttpResponseClientRedirect(address) if htmx else HttpResponseRedirect(address)


def _current_page(request: HttpRequest) -> str | None:
    """The path and query of the page that htmx asks from; ``None`` if it does not say, or names another site."""
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
    try:
        return htmx.current_url_abs_path if htmx else None
    except ValueError:
        return None  # no address at all


def came_from(request: HttpRequest, place: str, *others: str) -> str:
    """The page that a dialog was opened on, with search, sort and page as they were, if it is one of these.

    :param place: an address of this site, and the answer where the dialog was opened elsewhere.
    :param others: more such addresses.
    """
    address = _current_page(request)
    if address and url_has_allowed_host_and_scheme(address, allowed_hosts=None):
        parts = urlsplit(address)
        if not parts.netloc and parts.path in (place, *others):
            return address
    return place


def add_errors(form: BaseForm, problem: ValidationError) -> None:
    """Show what a service refused at the form: beside its field, or above where the form has no such field."""
    if not hasattr(problem, "error_dict"):
        form.add_error(None, problem)
        return
    for name, errors in problem.error_dict.items():
        form.add_error(name if name in form.fields else None, errors)


def search_text(query: QueryDict) -> str:
    """What is searched for; characters that the database cannot hold are left out.

    A text longer than every name is cut and ends in "…", which is in no name: it matches nothing, where the cut text
    alone might match something that was not searched for.
    """
    text = query.get("q", "").replace("\x00", "").strip()
    return text if len(text) <= LONGEST_SEARCH else f"{text[:LONGEST_SEARCH]}…"
