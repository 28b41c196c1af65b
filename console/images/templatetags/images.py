"""Template tags for the rows of the lists of images and tags."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Collection, Mapping
from typing import Any

from django import template
from django.template.loader import get_template
from django.urls import get_script_prefix
from django.utils.translation import get_language

from console.images import rows
from console.repositories.models import Image, Manifest, Tag
from console.stars.services import mark
from console.stars.templatetags.stars import image_star
from console.web import fragments
from console.web.templatetags.console import elapsed

register = template.Library()
# Limit of the cache of image rows, of about two kilobytes each.
_CACHED_ROWS = 4096


@register.simple_tag(takes_context=True)
def image_row(context: Any, image: Image | rows.ShownImage) -> str:
    """The row of an image in the list, with its star; during a deletion with its progress."""
    if image.state == Image.State.DELETING:
        return get_template("images/_row_deleting.html").render({"image": image})
    if isinstance(image, Image):
        mark(context["request"].user, [image])
        image = rows.ShownImage.of(image)
    pushed = elapsed(image.last_push_at, datetime.datetime.now(datetime.UTC))
    return _image_row(image, pushed, get_language(), get_script_prefix())


@functools.lru_cache(maxsize=_CACHED_ROWS)
def _image_row(image: rows.ShownImage, pushed: str, _language: str | None, _prefix: str) -> str:
    """Depends only on its arguments, so that it can be cached."""
    star = image_star(image.pk, image.full_name, image.starred, image.star_count, "bare")
    return fragments.render("images/_image_row.html", {**rows.image_row(image, pushed), "star": star})


@register.filter
def platform_count(manifest: Manifest) -> str:
    """The manifest's only platform by its name, several in number."""
    return rows.platform_count(manifest)


@register.simple_tag
def tag_row(image: Image, tag: Tag, people: Mapping[str, str], verbs: Collection[str]) -> str:
    """The row of a tag in the list of the image's tags.

    :param people: the names of those who pushed, by their user names at the registry.
    :param verbs: what the account that reads the page may do with the image.
    """
    values = {**rows.tag_row(image, tag, people), "may_delete": "image.delete" in verbs}
    return fragments.render("images/_tag_row.html", values)
