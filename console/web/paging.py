"""Pagination by page number. Lists that are too long for numbers: ``console.web.keyset``."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import QueryDict

PAGE_SIZES = (10, 20, 50, 100)
DEFAULT_PAGE_SIZE = 20

# So many rows are skipped at no cost worth mentioning.
_NEAR = 200

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
    """

    def __init__(self, rows: QuerySet[Any, Any], per_page: int, total: int | None = None) -> None:
        super().__init__(rows, per_page)
        if total is not None:
            self.count = total

    def page(self, number: Any) -> Page[Any]:
        """One page, with one query near the beginning, and two whatever its number."""
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        end = min(start + self.per_page, self.count)
        rows: QuerySet[Any, Any] = self.object_list  # type: ignore[assignment]
        if end <= _NEAR:
            return Page(list(rows[start:end]), number, self)
        # Without what is shown the order can be had from an index alone.
        keys = rows.values_list("pk", flat=True)
        if start > self.count // 2:
            found = list(keys.reverse()[self.count - end : self.count - start])
        else:
            found = list(keys[start:end])
        return Page(list(rows.filter(pk__in=found)), number, self)


def paged(queryset: QuerySet[Any, Any], query: QueryDict, *, wide: bool = False, total: int | None = None) -> Page[Any]:
    """The page that the address asks for; the nearest one there is, whatever it asks for.

    :param wide: for lists without end.
    :param total: how many rows such a list has, where that is known already.
    """
    size = page_size(query)
    return (WidePaginator(queryset, size, total) if wide else Paginator(queryset, size)).get_page(query.get("page"))
