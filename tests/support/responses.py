"""Helpers to read responses of pages."""

import re

HTMX = {"HX-Request": "true"}


def text_of(response):
    """The page as one line, with collapsed white space, and without the places where a name may break."""
    return re.sub(r"\s+", " ", response.content.decode().replace("<wbr>", ""))
