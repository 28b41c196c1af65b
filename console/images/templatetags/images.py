"""Template tags for the rows of the lists of images and tags."""

from __future__ import annotations

import functools
from typing import Any

from django import template
from django.template.loader import get_template
from django.urls import get_script_prefix
from django.utils.translation import get_language

from console.images import rows
from console.repositories.models import Image, Tag
from console.stars.services import mark
from console.stars.templatetags.stars import image_star
from console.web import fragments

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
    return _image_row(image, get_language(), get_script_prefix())


@functools.lru_cache(maxsize=_CACHED_ROWS)
def _image_row(image: rows.ShownImage, _language: str | None, _prefix: str) -> str:
    """Depends only on its arguments, so that it can be cached."""
    star = image_star(image.pk, image.full_name, image.starred, image.star_count, "bare")
    return fragments.render("images/_image_row.html", {**rows.image_row(image), "star": star})


@register.simple_tag
def tag_row(image: Image, tag: Tag) -> str:
    """The row of a tag in the list of the image's tags."""
    return fragments.render("images/_tag_row.html", rows.tag_row(image, tag))
