"""Search over the documents, section by section, in memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from console.help.documents import HelpPage
from console.help.placeholders import fill_text
from console.web.excerpts import Part, any_of, around, marked
from console.web.markdown import Section

# Results that are shown, and words of a query that count.
MOST_RESULTS = 20
_MOST_WORDS = 8
# What a match in a heading, in the page's title and in the text is worth; a word that begins there counts double.
_HEADING, _TITLE, _TEXT = 12, 6, 1
_MOST_MATCHES = 5


@dataclass(frozen=True)
class Result:
    """A section that has all words of a query."""

    page: HelpPage
    section: Section
    heading: list[Part]
    snippet: list[Part]

    @property
    def address(self) -> str:
        """Where the section is read."""
        return f"{self.page.address}#{self.section.anchor}" if self.section.anchor else self.page.address


def search(pages: Iterable[HelpPage], query: str, values: Mapping[str, str]) -> list[Result]:
    """The sections that have all words of ``query``, in whatever case, the best first; at most ``MOST_RESULTS``.

    A word counts in the section's text, in its heading and in the page's title.

    :param values: what stands for placeholders in the texts.
    """
    words = list(dict.fromkeys(query.casefold().split()))[:_MOST_WORDS]
    if not words:
        return []
    any_word = any_of(words)
    scored: list[tuple[int, int, HelpPage, Section, str]] = []
    for page in pages:
        title = page.title.casefold()
        for section in page.sections:
            text = fill_text(section.text, values)
            score = _score(words, section.heading.casefold(), title, text.casefold())
            if score:
                scored.append((-score, len(scored), page, section, text))
    scored.sort(key=lambda one: one[:2])
    return [
        Result(page, section, marked(section.heading, any_word), marked(around(text, any_word), any_word))
        for _score, _place, page, section, text in scored[:MOST_RESULTS]
    ]


def _score(words: list[str], heading: str, title: str, text: str) -> int:
    """How well a section fits; 0 when it lacks a word."""
    total = 0
    for word in words:
        here = sum(
            worth * _matches(word, where) for worth, where in ((_HEADING, heading), (_TITLE, title), (_TEXT, text))
        )
        if not here:
            return 0
        total += here
    return total


def _matches(word: str, text: str) -> int:
    """How often ``text`` has the word, up to a few times, and once more for each time that a word begins with it."""
    if word not in text:
        return 0
    begins = len(re.findall(rf"(?<!\w){re.escape(word)}", text))
    return min(text.count(word), _MOST_MATCHES) + min(begins, _MOST_MATCHES)
