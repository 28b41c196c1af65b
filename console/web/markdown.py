"""Markdown to safe HTML, of bounded length and cost."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

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
# The first line is taken from the first characters alone: a list may have hundreds of rows.
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
    """Render CommonMark with tables; without images, scripts, styles; links only to ``http``, ``https``, ``mailto``.

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
    """The first line of the first paragraph, without Markdown syntax, for lists.

    :return: the first line of another block, such as a heading, if there is no paragraph.
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


@dataclass(frozen=True)
class Section:
    """A heading of a document with the text below it, down to the next heading.

    :param level: the heading's, from 1.
    :param anchor: the heading's ID in the page; empty for the document's title, which is no part of its HTML.
    :param text: as it reads, without marks.
    """

    level: int
    heading: str
    anchor: str
    text: str


@dataclass(frozen=True)
class Document:
    """A document in Markdown, rendered.

    :param title: its first heading, which ``html`` does not have.
    :param html: sanitised; its headings have IDs.
    :param sections: the title with what stands before the second heading, then one for each heading.
    """

    title: str
    html: SafeString
    sections: tuple[Section, ...]


def render_document(text: str, resolve_link: Callable[[str], str | None]) -> Document:
    """Render a document that begins with a heading, as ``render_markdown`` does, with an ID at each heading.

    The IDs are those of GitHub and GitLab, so that links to headings work there and here.

    :param resolve_link: the address for what a link in the text names; with ``None`` its words stand without a link.
    """
    tokens, known, sections = _MARKDOWN.parse(text), set[str](), list[Section]()
    words: list[str] = []

    def end_section() -> None:
        if sections:
            last = sections[-1]
            sections[-1] = Section(last.level, last.heading, last.anchor, " ".join(" ".join(words).split()))
        words.clear()

    for place, token in enumerate(tokens):
        if token.type == "inline":
            token.children = _resolve_links(token.children or [], resolve_link)
            if tokens[place - 1].type != "heading_open":
                words.append(_words_of(token.children))
        elif token.type in {"fence", "code_block"}:
            words.append(token.content)
        elif token.type == "heading_open":
            end_section()
            heading = _words_of(tokens[place + 1].children or [])
            anchor = _anchor(heading, known) if sections else ""
            token.attrSet("id", anchor)
            sections.append(Section(int(token.tag[1:]), heading, anchor, ""))
    end_section()
    html = nh3.clean(
        _MARKDOWN.renderer.render(tokens[3:], _MARKDOWN.options, {}),
        tags=_TAGS,
        attributes={"a": {"href", "title"}, "code": {"class"}, "h2": {"id"}, "h3": {"id"}, "h4": {"id"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
    )
    return Document(sections[0].heading, mark_safe(html), tuple(sections))  # noqa: S308  # nosec B308, B703


def _words_of(parts: list[Token]) -> str:
    """The words of a line, as they read."""
    return "".join(" " if part.type in {"softbreak", "hardbreak"} else part.content for part in parts)


def _anchor(heading: str, known: set[str]) -> str:
    """The ID of a heading, which no other in ``known`` has; it is added there."""
    plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    anchor, number = plain, 0
    while anchor in known:
        number += 1
        anchor = f"{plain}-{number}"
    known.add(anchor)
    return anchor


def _resolve_links(parts: list[Token], resolve_link: Callable[[str], str | None]) -> list[Token]:
    """The parts of a line with their links resolved. Links are never nested (CommonMark, 6.3)."""
    left, dropped = [], False
    for part in parts:
        if part.type == "link_open":
            address = resolve_link(str(part.attrs["href"]))
            dropped = address is None
            if address is not None:
                part.attrSet("href", address)
        if not (dropped and part.type in {"link_open", "link_close"}):
            left.append(part)
    return left
