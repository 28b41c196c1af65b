"""The star button."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import template

from console.dockerhub.models import OfficialImage
from console.favorites.services import mark
from console.images.models import Image
from console.pages import fragments
from console.pages.addresses import address_of
from console.pages.templatetags.console import number

register = template.Library()


@register.simple_tag(takes_context=True)
def mark_stars(context: Any, targets: Iterable[Image | OfficialImage]) -> str:
    """Say of all rows of a list, with one query, whether the reader has a star on them."""
    mark(context["request"].user, targets)
    return ""


@register.simple_tag(takes_context=True)
def star(context: Any, target: Image | OfficialImage, look: str = "") -> str:
    """The button that gives ``target`` the reader's star or takes it away, with the number of stars it has here.

    It sends the form ``stars`` that each page has, so that it may stand inside another form. In a list, ``mark_stars``
    comes first, or each button asks the database.

    :param look: ``head`` with its name, for the head of a page; ``bare`` without the number; otherwise a picture and
        the number.
    """
    if not hasattr(target, "starred"):
        mark(context["request"].user, [target])
    official = isinstance(target, OfficialImage)
    address = address_of("star-official", target.name) if official else address_of("star", target.repository)
    values = {
        "address": f"{address}?look={look}" if look else address,
        "id": f"star-{'official' if official else 'image'}-{target.pk}",
        "repository": target.repository,
        "starred": target.starred,  # type: ignore[union-attr]
        "stars": number(target.star_count),
        "head": look == "head",
        "bare": look == "bare",
    }
    return fragments.render("favorites/_star.html", values)
