"""The page of an account's own activity."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_GET

from console.accounts.event_words import in_words_for
from console.accounts.requests import Request
from console.login.activity import KINDS, PERIODS, cursor, events_of
from console.web.paging import address_with
from console.web.rendering import page, signed_in


@require_GET
@signed_in
def activity(request: Request) -> HttpResponse:
    """What the account did, and what was done to what is its own, the newest first."""
    query = request.GET
    found = events_of(request.user, query)
    kind, period = query.get("kind", ""), query.get("time", "")
    context = {
        "rows": in_words_for(request.user, found.events),
        "following": address_with(query, before=cursor(found.following)) if found.following else "",
        "first": address_with(query, before=None) if "before" in query else "",
        "kinds": [(name, label, name == kind) for name, (label, _words) in KINDS.items()],
        "periods": [(name, label, name == period) for name, (label, _days) in PERIODS.items()],
        "filtered": kind in KINDS or period in PERIODS,
        "section": "account",
        "tab": "activity",
    }
    return page(request, "accounts/activity.html", context, part="list")
