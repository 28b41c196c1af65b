"""Markdown to safe HTML, of bounded length and cost."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, table
from markdown_it.token import Token

# Cells of all tables of a text: a short text can ask for very many (empty cells fill up short rows).
_MOST_CELLS = 5000
# Characters of all links' addresses: one address that is written once can be referred to any number of times.
_MOST_LINK_CHARACTERS = 100_000
# The page has its title and the section's above the text: a first heading there is one of the third level.
_HEADINGS_ABOVE, _LAST_HEADING = 2, 6
# A summary is looked for in the first characters alone: a list may have hundreds of rows.
_SUMMARY_CHARACTERS = 2000
_TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip


def _bounded_table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The table rule of markdown-it, less the tables with which the text would have more than ``_MOST_CELLS`` cells.

    No line of a table that is left out is tried as the beginning of another one.
    """
    if start < state.env.get("no_table_before", 0) or not table(state, start, end, True):
        return False
    rows = next((line - start for line in range(start, end) if state.isEmpty(line)), end - start)
    left = state.env.get("cells_left", _MOST_CELLS) - rows * (_line(state, start + 1).count("|") + 1)
    if left < 0:
        state.env["no_table_before"] = start + rows
        return False
    if silent:
        return True
    state.env["cells_left"] = left
    return table(state, start, end, False)


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]


# HTML in the text is shown as text; nh3 is the second safeguard against it.
_MARKDOWN = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
_MARKDOWN.block.ruler.at("table", _bounded_table, {"alt": ["paragraph", "reference"]})


@functools.lru_cache(maxsize=64)
def render_markdown(text: str) -> SafeString:
    """CommonMark with tables; without images, scripts, styles, or links to anything but the web and mail.

    Headings begin at the third level. Of a text with very large tables or very many long links, these are text.
    """
    tokens = _MARKDOWN.parse(text)
    _lower_headings(tokens)
    _bound_links(tokens)
    html = nh3.clean(
        _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}),
        tags=_TAGS,
        attributes={"a": {"href", "title"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
        # These scroll where they are wider than the page, by keyboard too.
        set_tag_attribute_values={"pre": {"tabindex": "0"}, "table": {"tabindex": "0"}},
    )
    return mark_safe(html)  # noqa: S308  # nosec B308, B703 # sanitised above


def _lower_headings(tokens: Iterable[Token]) -> None:
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1:]) + _HEADINGS_ABOVE, _LAST_HEADING)}"


def _bound_links(tokens: Iterable[Token]) -> None:
    """Take the addresses and titles away from the links after the first ``_MOST_LINK_CHARACTERS``."""
    left = _MOST_LINK_CHARACTERS
    for token in tokens:
        for part in token.children or ():
            left -= sum(len(str(value)) for value in part.attrs.values())
            if left < 0:
                part.attrs = {}


@functools.lru_cache(maxsize=4096)
def first_line(text: str) -> str:
    """The first line of such a text's first paragraph as it reads, without its marks: what a list shows of the text.

    :return: the first line of anything else, such as a heading, where there is no paragraph.
    """
    instead, inside = "", ""
    for token in _MARKDOWN.parse(text[:_SUMMARY_CHARACTERS]):
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
