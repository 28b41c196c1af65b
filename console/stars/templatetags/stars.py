"""The star button."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import template

from console.official_images.models import OfficialImage
from console.repositories.models import Image
from console.stars.services import mark
from console.web import fragments
from console.web.fast_urls import address_of
from console.web.templatetags.console import number

register = template.Library()


@register.simple_tag(takes_context=True)
def mark_stars(context: Any, targets: Iterable[Image | OfficialImage]) -> str:
    """Set ``starred`` on all rows of a list, with one query."""
    mark(context["request"].user, targets)
    return ""


@register.simple_tag(takes_context=True)
def star(context: Any, target: Image | OfficialImage, look: str = "") -> str:
    """The button that adds or removes the user's star on ``target``, with the number of stars.

    It submits the form ``stars`` that each page has, so it may be inside another form. In a list use ``mark_stars``
    first, otherwise each button queries the database.

    :param look: the style: ``head`` with text, for the head of a page; ``bare`` without the number; otherwise an icon
        and the number.
    """
    if not hasattr(target, "starred"):
        mark(context["request"].user, [target])
    starred = target.starred  # type: ignore[union-attr]
    if isinstance(target, OfficialImage):
        address, key = address_of("star-official", target.name), f"official-{target.pk}"
        return _button(address, key, target.repository, starred, target.star_count, look)
    return image_star(target.pk, target.repository, starred, target.star_count, look)


def image_star(pk: int, repository: str, starred: bool, stars: int, look: str) -> str:
    """Like ``star``, for an image given by these values."""
    return _button(address_of("star", repository), f"image-{pk}", repository, starred, stars, look)


def _button(address: str, key: str, repository: str, starred: bool, stars: int, look: str) -> str:
    values = {
        "address": f"{address}?look={look}" if look else address,
        "id": f"star-{key}",
        "repository": repository,
        "starred": starred,
        "stars": number(stars),
        "head": look == "head",
        "bare": look == "bare",
    }
    return fragments.render("favorites/_star.html", values)
