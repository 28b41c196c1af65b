"""Notices of namespaces that are offered to the reader."""

from __future__ import annotations

from typing import Any

from django import template

from console.ownership.hand_over import offers_to

register = template.Library()
# Offers that a page shows at most.
_MOST = 5


@register.inclusion_tag("namespaces/_offers.html", takes_context=True)
def hand_over_notices(context: Any) -> dict[str, Any]:
    """A notice for each namespace that the account may take over; one query."""
    return {"offers": list(offers_to(context["request"].user)[:_MOST])}
