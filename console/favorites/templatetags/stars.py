"""The star button."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import template
from django.urls import reverse

from console.dockerhub.models import OfficialImage
from console.favorites.services import mark
from console.images.models import Image

register = template.Library()


@register.simple_tag(takes_context=True)
def mark_stars(context: Any, targets: Iterable[Image | OfficialImage]) -> str:
    """Say of all rows of a list, with one query, whether the reader has a star on them."""
    mark(context["request"].user, targets)
    return ""


@register.inclusion_tag("favorites/_star.html", takes_context=True)
def star(context: Any, target: Image | OfficialImage, look: str = "") -> dict[str, Any]:
    """The button that gives ``target`` the reader's star or takes it away, with the number of stars it has here.

    It sends the form ``stars`` that each page has, so that it may stand inside another form. In a list, ``mark_stars``
    comes first, or each button asks the database.

    :param look: ``head`` with its name, for the head of a page; ``bare`` without the number; otherwise a picture and
        the number.
    """
    if not hasattr(target, "starred"):
        mark(context["request"].user, [target])
    official = isinstance(target, OfficialImage)
    address = reverse("star-official", args=[target.name]) if official else reverse("star", args=[target.repository])
    return {
        "target": target,
        "address": f"{address}?look={look}" if look else address,
        "id": f"star-{'official' if official else 'image'}-{target.pk}",
        "look": look,
    }
