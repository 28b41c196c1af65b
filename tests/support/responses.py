"""Reading the pages' answers."""

import re

HTMX = {"HX-Request": "true"}


def text_of(response):
    """The page as one line, its white space folded."""
    return re.sub(r"\s+", " ", response.content.decode())
