"""Markdown to safe HTML."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

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
