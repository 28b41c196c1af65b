"""The rows of the lists of images and of tags."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.loader import get_template

from console.favorites.templatetags.stars import star
from console.images import rows
from console.images.models import Image, Tag
from console.pages import fragments

register = template.Library()


@register.simple_tag(takes_context=True)
def image_row(context: Any, image: Image) -> str:
    """The row of an image in the list, with its star; while it is being deleted, with the progress."""
    if image.state == Image.State.DELETING:
        return get_template("images/_row_deleting.html").render({"image": image})
    values = {**rows.image_row(image), "star": star(context, image, "bare")}
    return fragments.render("images/_image_row.html", values)


@register.simple_tag
def tag_row(image: Image, tag: Tag) -> str:
    """The row of a tag in the list of the image's tags."""
    return fragments.render("images/_tag_row.html", rows.tag_row(image, tag))
