"""Pages of the help, for everyone who is signed in; the documents for administrators are for administrators alone."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET
from django_htmx.http import trigger_client_event

from console.accounts.requests import Request
from console.help.authority import load_authority
from console.help.documents import CERTIFICATE, HelpPage, help_pages
from console.help.placeholders import fill_html, public_values, values_for
from console.help.search import MOST_RESULTS, search
from console.web.rendering import page, search_text, signed_in

# The results on the help's first page, and those above a document.
_RESULTS, _RESULTS_ABOVE = "results", "results-above"


@require_GET
@signed_in
def index(request: Request) -> HttpResponse:
    """The list of documents, or what ``?q=`` finds in them."""
    text, account = search_text(request.GET), request.user
    users, administrators = help_pages(administration=False), _for_administrators(request)
    results = search([*users, *administrators], text, values_for(account)) if text else []
    part = _RESULTS_ABOVE if request.htmx.target == _RESULTS_ABOVE else _RESULTS
    context = {
        "section": "help",
        "text": text,
        "results": results,
        "full": len(results) == MOST_RESULTS,
        "users": users,
        "administrators": administrators,
    }
    response = page(request, "help/index.html", context, part=part, partial="help/_results.html")
    if request.htmx and text:
        count = len(results)
        said = ngettext("%(count)d result", "%(count)d results", count) % {"count": count}
        trigger_client_event(response, "announce", {"text": said if results else _("Nothing found")}, after="settle")
    return response


@require_GET
@signed_in
def user_page(request: Request, name: str) -> HttpResponse:
    """A document for users, with this installation's addresses and the reader's names."""
    pages = help_pages(administration=False)
    shown = _find(pages, name)
    return _document(request, pages, shown, fill_html(shown.html, values_for(request.user)))


@require_GET
@signed_in
def administration_page(request: Request, name: str) -> HttpResponse:
    """A document for administrators. To others it is not there."""
    pages = _for_administrators(request)
    shown = _find(pages, name)
    return _document(request, pages, shown, shown.html)


@require_GET
def certificate(request: Request) -> HttpResponse:
    """How clients come to trust the installation's own authority: for everybody, before they can sign in."""
    authority = load_authority()
    if authority is None:
        raise Http404
    pages = help_pages(administration=False)
    shown = _find(pages, CERTIFICATE)
    text = fill_html(shown.html, public_values(authority))
    if request.user.is_authenticated:
        return _document(request, pages, shown, text)
    return page(request, "help/public.html", {"shown": shown, "html": text})


@require_GET
def certificate_file(request: Request) -> HttpResponse:
    """The certificate itself. It has no secret."""
    authority = load_authority()
    if authority is None:
        raise Http404
    headers = {"Content-Disposition": 'attachment; filename="my-images-ca.crt"'}
    return HttpResponse(authority.pem, content_type="application/x-x509-ca-cert", headers=headers)


def _for_administrators(request: Request) -> tuple[HelpPage, ...]:
    return help_pages(administration=True) if request.user.is_staff else ()


def _find(pages: tuple[HelpPage, ...], name: str) -> HelpPage:
    for one in pages:
        if one.name == name:
            return one
    raise Http404


def _document(request: Request, pages: tuple[HelpPage, ...], shown: HelpPage, html: str) -> HttpResponse:
    place = pages.index(shown)
    context = {
        "section": "help",
        "shown": shown,
        "html": html,
        "users": help_pages(administration=False),
        "administrators": _for_administrators(request),
        "previous": pages[place - 1] if place else None,
        "following": pages[place + 1] if place + 1 < len(pages) else None,
    }
    return page(request, "help/page.html", context)
