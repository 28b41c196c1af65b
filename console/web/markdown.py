"""Markdown to safe HTML."""

from __future__ import annotations

import functools
import itertools

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

# HTML in the text is escaped; nh3 sanitises the output as a second defence.
_MARKDOWN = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
_TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip


def render_markdown(text: str) -> SafeString:
    """Render CommonMark with tables; without images, scripts, styles; links only to ``http``, ``https``, ``mailto``."""
    html = nh3.clean(
        _MARKDOWN.render(text),
        tags=_TAGS,
        attributes={"a": {"href", "title"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
    )
    return mark_safe(html)  # noqa: S308  # nosec B308, B703 # sanitised above


@functools.lru_cache(maxsize=4096)
def first_line(text: str) -> str:
    """The first line of the first paragraph, without Markdown syntax, for lists.

    :return: the first line of another block, such as a heading, if there is no paragraph.
    """
    instead, inside = "", ""
    for token in _MARKDOWN.parse(text):
        line = ""
        if token.type == "inline":
            words = itertools.takewhile(lambda part: part.type not in {"softbreak", "hardbreak"}, token.children or [])
            # A line's end can also be written as an entity.
            line = " ".join("".join(part.content for part in words).split())
            if line and inside == "paragraph_open":
                return line
        elif token.type in {"fence", "code_block"}:
            line = token.content.strip().partition("\n")[0]
        else:
            inside = token.type
        instead = instead or line
    return instead
