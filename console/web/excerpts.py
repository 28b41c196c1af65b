"""Excerpts: the beginning of a list of unbounded length, or the words around a match, as a page shows them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from django.utils.html import escape
from django.utils.safestring import SafeString

Row = TypeVar("Row")
# Characters of an excerpt around a match.
_AROUND = 180


@dataclass(frozen=True)
class Excerpt(Generic[Row]):
    """The first rows of a list, and how many ``more`` it has."""

    rows: list[Row] = field(default_factory=list)
    more: int = 0


def excerpt(
    rows: Sequence[Row], most: int, characters: int, show: Callable[[Row], Row], length: Callable[[Row], int]
) -> Excerpt[Row]:
    """The first rows: at most ``most`` with at most ``characters`` in all, but at least one if there is any.

    :param show: converts a row to what the page shows.
    :param length: how many characters the converted row has.
    """
    shown: list[Row] = []
    for row in map(show, rows[:most]):
        characters -= length(row)
        if characters < 0 and shown:
            break
        shown.append(row)
    return Excerpt(shown, len(rows) - len(shown))


def shorten(text: str, most: int) -> str:
    """The text, cut with an ellipsis where it is longer than ``most`` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


@dataclass(frozen=True)
class Part:
    """A piece of a text, ``marked`` where it is what was searched for."""

    text: str
    marked: bool = False


def any_of(words: Iterable[str]) -> re.Pattern[str]:
    """An expression for any of these words, which are at least one, in whatever case; of two the longer."""
    return re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True))), re.IGNORECASE)


def around(text: str, any_word: re.Pattern[str], *, before: int = _AROUND // 3, inside: bool = False) -> str:
    """Some words of ``text`` around the first match, from its beginning where there is none.

    :param before: characters before the match.
    :param inside: whether the text goes on before its beginning.
    """
    found = any_word.search(text)
    match = found.start() if found else 0
    start = max(match - before, 0)
    if start:
        start = text.find(" ", start, match) + 1 or start
    end = start + _AROUND
    if end < len(text):
        end = text.rfind(" ", start, end) if " " in text[start:end] else end
    return f"{'… ' if start or inside else ''}{text[start:end]}{' …' if end < len(text) else ''}"


def marked(text: str, any_word: re.Pattern[str]) -> list[Part]:
    """``text`` in parts, those marked that match."""
    parts, at = [], 0
    for found in any_word.finditer(text):
        parts += [Part(text[at : found.start()]), Part(found[0], marked=True)]
        at = found.end()
    return [part for part in [*parts, Part(text[at:])] if part.text]


def marked_html(text: str, any_word: re.Pattern[str]) -> SafeString:
    """``text`` as HTML, with ``<mark>`` around each match."""
    words = [
        f"<mark>{escape(part.text)}</mark>" if part.marked else escape(part.text) for part in marked(text, any_word)
    ]
    return SafeString("".join(words))  # nosec B703
