"""Excerpts: the beginning of a list of unbounded length, as a page shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Row = TypeVar("Row")


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
