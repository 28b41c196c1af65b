"""Pagination: by page number, and by keyset for very long lists."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import Expression, F, Model, Q, QuerySet
from django.db.models.expressions import OrderBy
from django.http import QueryDict

PAGE_SIZES = (10, 20, 50, 100)
DEFAULT_PAGE_SIZE = 20

# So many rows are skipped at no cost worth mentioning.
_NEAR = 200

Row = TypeVar("Row", bound=Model)

# What in an address says where in a list one is; each of it left out.
NOWHERE: dict[str, None] = {"page": None, "after": None, "before": None, "last": None}


def address_with(query: QueryDict, **changes: str | None) -> str:
    """The address of the same page with other values in its query; those that are ``None`` are left out."""
    values = dict(query.lists())
    for name, value in changes.items():
        if value is None:
            values.pop(name, None)
        else:
            values[name] = [value]
    return f"?{urlencode(values, doseq=True)}"


def page_size(query: QueryDict) -> int:
    """How many rows the address asks for, if that is one of the sizes there are."""
    asked = query.get("size", "")
    return int(asked) if asked in {str(size) for size in PAGE_SIZES} else DEFAULT_PAGE_SIZE


class WidePaginator(Paginator):  # type: ignore[type-arg]
    """Pages of a long list: only numbers of rows are skipped, not rows, and the second half is read from its end.

    :param total: how many rows there are, where that is known already.
    :param near: gives the rows of a slice near the beginning, where something finds them quicker than the query.
    """

    def __init__(
        self,
        rows: QuerySet[Any],
        per_page: int,
        total: int | None = None,
        near: Callable[[slice], list[Any]] | None = None,
    ) -> None:
        super().__init__(rows, per_page)
        self._near = near
        if total is not None:
            self.count = total

    def page(self, number: Any) -> Page[Any]:
        """One page, with one query near the beginning, and two whatever its number."""
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        end = min(start + self.per_page, self.count)
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        if end <= _NEAR:
            return Page(self._near(slice(start, end)) if self._near else list(rows[start:end]), number, self)
        # Without what is shown the order can be had from an index alone.
        bare = rows.select_related(None)
        if start > self.count // 2:
            keys = list(bare.reverse().values_list("pk", flat=True)[self.count - end : self.count - start])[::-1]
        else:
            keys = list(bare.values_list("pk", flat=True)[start:end])
        whole = rows.model._default_manager.filter(pk__in=keys)
        whole.query.select_related = rows.query.select_related
        found = {row.pk: row for row in whole}
        return Page([found[key] for key in keys if key in found], number, self)


def paged(
    queryset: QuerySet[Any, Any],
    query: QueryDict,
    *,
    wide: bool = False,
    total: int | None = None,
    near: Callable[[slice], list[Any]] | None = None,
) -> Page[Any]:
    """The page that the address asks for; the nearest one there is, whatever it asks for.

    :param wide: for lists without end, whose rows carry nothing that was computed in the query.
    :param total: how many rows such a list has, where that is known already.
    :param near: see ``WidePaginator``.
    """
    size = page_size(query)
    return (WidePaginator(queryset, size, total, near) if wide else Paginator(queryset, size)).get_page(
        query.get("page")
    )


def sorting(query: QueryDict, allowed: Mapping[str, Any], default: str) -> tuple[str, list[OrderBy]]:
    """What to sort by.

    :param allowed: columns by the name that the address uses, or ascending orders that say where nulls belong.
    :param default: such a name, with ``-`` before it for descending.
    :return: the name in force, and the order for ``order_by``, with ``pk`` last so that it is settled.
    """
    name = sort_name(query, allowed, default)
    return name, order_of(name, allowed)


def order_of(name: str, allowed: Mapping[str, Any]) -> list[OrderBy]:
    """The order for ``order_by`` that goes by this name, as ``sorting`` says."""
    column = allowed[name.removeprefix("-")]
    order = [copy(column) if isinstance(column, OrderBy) else OrderBy(_expression(column)), OrderBy(F("pk"))]
    if name.startswith("-"):
        for part in order:
            part.reverse_ordering()
    return order


def _expression(column: str | Expression | F) -> Expression | F:
    return F(column) if isinstance(column, str) else column


def sort_name(query: QueryDict, allowed: Mapping[str, Any], default: str) -> str:
    """The sort that the address asks for, if it is one of those there are."""
    asked = query.get("sort", "")
    return asked if asked.removeprefix("-") in allowed else default


# --- keyset paging --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class KeysetPage(Generic[Row]):
    """Some rows, and where the pages before and after them begin. Any page costs what the first one costs."""

    rows: list[Row]
    size: int
    total: int
    first: str
    previous: str
    following: str
    last: str


def _cursor(row: Any) -> str:
    value = row.sort_value
    if isinstance(value, datetime.datetime):
        value = value.isoformat()
    return base64.urlsafe_b64encode(json.dumps([value, row.pk]).encode()).decode().rstrip("=")


def _read_cursor(text: str, kind: type) -> tuple[Any, int] | None:
    """The place that a cursor names; ``None`` for one that nobody made here."""
    try:
        value, key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if kind is datetime.datetime:
            value = datetime.datetime.fromisoformat(value)
            if value.tzinfo is None:
                return None
            value = value.astimezone(datetime.UTC)  # the database takes fewer zones than Python
        right = type(value) is kind and type(key) is int and abs(key) < 1 << 62
        if not right or (kind is int and abs(value) >= 1 << 62):
            return None
        if kind is str and b"\x00" in value.encode():  # fails for what no database takes
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
    begin: Callable[..., list[Row]] | None = None,
) -> KeysetPage[Row]:
    """The page of ``queryset`` that the address asks for with ``after`` or ``before``.

    :param column: what is sorted by; never null.
    :param kind: the type of its values: ``str``, ``int`` or ``datetime``.
    :param total: how many rows there are in all.
    :param begin: finds the first ``rows`` in this order (``keyset_order``), where something does so quicker.
    """
    size = page_size(query)
    after, before = (_read_cursor(query.get(name, ""), kind) for name in ("after", "before"))
    backwards = after is None and (before is not None or "last" in query)
    place = after or before
    down = descending is not backwards
    if begin is not None and place is None and not backwards:
        found = begin(rows=slice(0, size + 1))
    else:
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


def keyset_order(queryset: QuerySet[Row], column: str | Expression, descending: bool) -> QuerySet[Row]:
    """All rows in the order that ``keyset`` has them in, with the ``sort_value`` of each."""
    sign = "-" if descending else ""
    rows: Any = queryset.annotate(sort_value=_expression(column))
    return cast(QuerySet[Row], rows.order_by(f"{sign}sort_value", f"{sign}pk"))


def _from(
    queryset: QuerySet[Row], place: tuple[Any, int] | None, column: str | Expression, down: bool
) -> QuerySet[Row]:
    rows: Any = keyset_order(queryset, column, down)
    if place is not None:
        value, key = place
        way = "lt" if down else "gt"
        # The first condition is implied by the second, and is what an index can begin at.
        rows = rows.filter(**{f"sort_value__{way}e": value}).filter(
            Q(**{f"sort_value__{way}": value}) | Q(sort_value=value, **{f"pk__{way}": key})
        )
    return cast(QuerySet[Row], rows)


def _link(query: QueryDict, **place: str) -> str:
    """The address with another place in the list."""
    return address_with(query, **{**NOWHERE, **place})
