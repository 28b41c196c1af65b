"""Helpers to read responses of pages."""

import re

HTMX = {"HX-Request": "true"}


def text_of(response):
    """The page as one line, with collapsed white space, and without what says where a name or a command may break."""
    text = re.sub(r'<span class="nowrap">(--?[\w-]+)</span>', r"\1", response.content.decode().replace("<wbr>", ""))
    return re.sub(r"\s+", " ", text)
