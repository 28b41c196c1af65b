"""The search: a page with what is found, and the list under the field in the head of every page."""

from __future__ import annotations

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET
from django_htmx.http import trigger_client_event

from console.accounts.requests import Request
from console.search.groups import LABELS, Group, address, count_all, groups
from console.search.matches import MOST, find, kinds_shown
from console.search.typed import SHORTEST, take_apart
from console.web.activated import activated
from console.web.rendering import page, search_text
from console.web.templatetags.console import number

# The list under the field (``templates/search/_field.html``).
_UNDER_FIELD = "search-results"
# Rows of each kind under the field, and on the page with all kinds.
_FEW, _SOME = 4, 5


@require_GET
@activated
def search(request: Request) -> HttpResponse:
    """What ``?q=`` finds of all kinds, the first of each; with ``?in=`` of one kind, all of them."""
    typed, chosen = take_apart(search_text(request.GET)), request.GET.get("in", "")
    chosen = chosen if chosen in kinds_shown() else ""
    under_field = request.htmx.target == _UNDER_FIELD
    found: list[Group] = []
    if typed.long_enough:
        kinds = (chosen,) if chosen else kinds_shown()
        most = _FEW if under_field else MOST if chosen else _SOME
        found = groups(request.user, typed, find(request.user, typed, kinds), most)
    context = {
        "section": "search",
        "search_text": typed.text,
        "too_short": bool(typed.text) and not typed.long_enough,
        "shortest": SHORTEST,
        "groups": found,
        "chosen": chosen,
        "all": address(typed.text),
        "tabs": [(address(typed.text, kind), LABELS[kind], kind == chosen) for kind in kinds_shown()],
        "most": MOST,
    }
    response = page(request, "search/page.html", context, part=_UNDER_FIELD, partial="search/_under_field.html")
    if under_field and typed.long_enough:
        trigger_client_event(response, "announce", {"text": _said(found)}, after="settle")
    return response


def _said(found: list[Group]) -> str:
    """The number of results, for screen readers."""
    count, more = count_all(found)
    if not count:
        return _("Nothing found")
    if more:
        return _("More than %(number)s results") % {"number": number(count)}
    return ngettext("%(number)s result", "%(number)s results", count) % {"number": number(count)}
