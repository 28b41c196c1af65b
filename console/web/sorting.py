"""Sort order of lists, from the query string; always unambiguous."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

from django.db.models import Expression, F
from django.db.models.expressions import OrderBy
from django.http import QueryDict


def sorting(query: QueryDict, allowed: Mapping[str, Any], default: str) -> tuple[str, list[OrderBy]]:
    """The sort order that the URL selects.

    :param allowed: columns by their name in the URL, or ascending ``OrderBy`` objects that say where nulls come.
    :param default: such a name, with ``-`` before it for descending.
    :return: the name in use, and the arguments for ``order_by``, with ``pk`` last so that the order is unambiguous.
    """
    name = sort_name(query, allowed, default)
    column = allowed[name.removeprefix("-")]
    order = [copy(column) if isinstance(column, OrderBy) else OrderBy(expression(column)), OrderBy(F("pk"))]
    if name.startswith("-"):
        for part in order:
            part.reverse_ordering()
    return name, order


def expression(column: str | Expression | F) -> Expression | F:
    """A column's ``F`` expression; other expressions unchanged."""
    return F(column) if isinstance(column, str) else column


def sort_name(query: QueryDict, allowed: Mapping[str, Any], default: str) -> str:
    """The sort name from the URL if it is allowed; otherwise the default."""
    asked = query.get("sort", "")
    return asked if asked.removeprefix("-") in allowed else default
