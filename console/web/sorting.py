"""What a list is sorted by: the address has a name, and the query an order that is settled."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

from django.db.models import Expression, F
from django.db.models.expressions import OrderBy
from django.http import QueryDict


def sorting(query: QueryDict, allowed: Mapping[str, Any], default: str) -> tuple[str, list[OrderBy]]:
    """What to sort by.

    :param allowed: columns by the name that the address uses, or ascending orders that say where nulls belong.
    :param default: such a name, with ``-`` before it for descending.
    :return: the name in force, and the order for ``order_by``, with ``pk`` last so that it is settled.
    """
    name = sort_name(query, allowed, default)
    column = allowed[name.removeprefix("-")]
    order = [copy(column) if isinstance(column, OrderBy) else OrderBy(expression(column)), OrderBy(F("pk"))]
    if name.startswith("-"):
        for part in order:
            part.reverse_ordering()
    return name, order


def expression(column: str | Expression | F) -> Expression | F:
    """A column, by its name or as it is."""
    return F(column) if isinstance(column, str) else column


def sort_name(query: QueryDict, allowed: Mapping[str, Any], default: str) -> str:
    """The sort that the address asks for, if it is one of those there are."""
    asked = query.get("sort", "")
    return asked if asked.removeprefix("-") in allowed else default
