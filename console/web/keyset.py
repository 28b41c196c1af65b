"""Keyset pagination: a page begins after the last row of the previous one, and any page is as fast as the first.

For long lists. Pages have no numbers; the URL has a cursor, which names the row where the page begins.
"""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from django.db.models import Expression, Model, Q, QuerySet
from django.http import QueryDict

from console.web.paging import NOWHERE, address_with, page_size
from console.web.sorting import expression

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class KeysetPage(Generic[Row]):
    """The rows of a page, and the links to the pages before and after it."""

    rows: list[Row]
    size: int
    total: int
    first: str
    previous: str
    following: str
    last: str

    def __iter__(self) -> Iterator[Row]:
        """Iterate over the rows, like Django's ``Page``."""
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def _cursor(row: Any) -> str:
    value = row.sort_value
    if isinstance(value, datetime.datetime):
        value = value.isoformat()
    return base64.urlsafe_b64encode(json.dumps([value, row.pk]).encode()).decode().rstrip("=")


def _read_cursor(text: str, kind: type) -> tuple[Any, int] | None:
    """The sort value and primary key in a cursor; ``None`` for an invalid cursor."""
    try:
        value, key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if kind is datetime.datetime:
            value = datetime.datetime.fromisoformat(value)
            if value.tzinfo is None:
                return None
            value = value.astimezone(datetime.UTC)  # the database accepts fewer time zones than Python
        valid = type(value) is kind and type(key) is int and abs(key) < 1 << 62
        if not valid or (kind is int and abs(value) >= 1 << 62):
            return None
        if kind is str and b"\x00" in value.encode():  # encode() fails for text that no database can store
            return None
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    return value, key


def keyset(
    queryset: QuerySet[Row],
    query: QueryDict,
    column: str | Expression,
    kind: type,
    descending: bool,
    total: int,
) -> KeysetPage[Row]:
    """The page of ``queryset`` that the URL selects with ``after`` or ``before``.

    :param column: the sort column; never null.
    :param kind: the type of its values: ``str``, ``int`` or ``datetime``.
    :param total: how many rows there are in all.
    """
    size = page_size(query)
    after, before = (_read_cursor(query.get(name, ""), kind) for name in ("after", "before"))
    backwards = after is None and (before is not None or "last" in query)
    place = after or before
    down = descending is not backwards
    found = list(_from(queryset, place, column, down)[: size + 1])
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    earlier = more if backwards else place is not None
    later = more if not backwards else place is not None
    return KeysetPage(
        rows=found,
        size=size,
        total=total,
        first=_link(query) if earlier else "",
        previous=_link(query, before=_cursor(found[0])) if earlier and found else "",
        following=_link(query, after=_cursor(found[-1])) if later and found else "",
        last=_link(query, last="1") if later else "",
    )


def _from(
    queryset: QuerySet[Row], place: tuple[Any, int] | None, column: str | Expression, down: bool
) -> QuerySet[Row]:
    sign = "-" if down else ""
    rows: Any = queryset.annotate(sort_value=expression(column)).order_by(f"{sign}sort_value", f"{sign}pk")
    if place is not None:
        value, key = place
        way = "lt" if down else "gt"
        # The first condition is implied by the second; PostgreSQL needs it to use the index.
        rows = rows.filter(**{f"sort_value__{way}e": value}).filter(
            Q(**{f"sort_value__{way}": value}) | Q(sort_value=value, **{f"pk__{way}": key})
        )
    return cast(QuerySet[Row], rows)


def _link(query: QueryDict, **place: str) -> str:
    """The URL of another page of the list."""
    return address_with(query, **{**NOWHERE, **place})
