"""Pagination by page number. For very long lists see ``console.web.keyset``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import QueryDict

PAGE_SIZES = (10, 20, 50, 100)
DEFAULT_PAGE_SIZE = 20

# Rows that OFFSET can skip at no noticeable cost.
_NEAR = 200

# The query parameters that select a page of a list, all removed.
NOWHERE: dict[str, None] = {"page": None, "after": None, "before": None, "last": None}


def address_with(query: QueryDict, **changes: str | None) -> str:
    """The query string with some parameters changed; those that are ``None`` are removed."""
    values = dict(query.lists())
    for name, value in changes.items():
        if value is None:
            values.pop(name, None)
        else:
            values[name] = [value]
    return f"?{urlencode(values, doseq=True)}"


def page_size(query: QueryDict) -> int:
    """Rows per page from the URL, if it is one of ``PAGE_SIZES``; otherwise the default."""
    asked = query.get("size", "")
    return int(asked) if asked in {str(size) for size in PAGE_SIZES} else DEFAULT_PAGE_SIZE


class WidePaginator(Paginator):  # type: ignore[type-arg]
    """Pages of a long list: OFFSET is applied to primary keys only, and the second half is read from the end.

    :param total: how many rows there are, if already known.
    :param keys: where there is a better way, reads the primary keys of the rows from ``start`` to ``end``, counted from
        the end of the list if ``backwards``.
    """

    def __init__(
        self,
        rows: QuerySet[Any, Any],
        per_page: int,
        total: int | None = None,
        keys: Callable[[int, int, bool], list[int]] | None = None,
    ) -> None:
        super().__init__(rows, per_page)
        self.keys = keys
        if total is not None:
            self.count = total

    def page(self, number: Any) -> Page[Any]:
        """One page, with one query near the beginning, otherwise with two."""
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        end = min(start + self.per_page, self.count)
        rows: QuerySet[Any, Any] = self.object_list  # type: ignore[assignment]
        if self.keys is not None:
            backwards = start > self.count // 2
            found = self.keys(self.count - end, self.count - start, True) if backwards else self.keys(start, end, False)
            return Page(list(rows.filter(pk__in=found)), number, self)
        if end <= _NEAR:
            return Page(list(rows[start:end]), number, self)
        # Primary keys alone can be read with an index-only scan.
        keys = rows.values_list("pk", flat=True)
        if start > self.count // 2:
            found = list(keys.reverse()[self.count - end : self.count - start])
        else:
            found = list(keys[start:end])
        return Page(list(rows.filter(pk__in=found)), number, self)


def paged(
    queryset: QuerySet[Any, Any],
    query: QueryDict,
    *,
    wide: bool = False,
    total: int | None = None,
    keys: Callable[[int, int, bool], list[int]] | None = None,
) -> Page[Any]:
    """The page that the URL selects; the nearest existing page for an invalid number.

    :param wide: use ``WidePaginator``, for long lists.
    :param total: how many rows such a list has, if already known.
    :param keys: how such a list reads the primary keys of a page (``WidePaginator``).
    """
    size = page_size(query)
    pages = WidePaginator(queryset, size, total, keys) if wide else Paginator(queryset, size)
    return pages.get_page(query.get("page"))
