"""Cache of compiled queries: Django builds the SQL once, and later calls only fill in the values.

Half of the time of such a query is spent on building its SQL, which is the same each time. Used only for queries that
would otherwise make a page, or the poll for changes of a list, a third slower (docs/decisions/0042).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable, get_related_populators

Row = TypeVar("Row")

# Placeholders for values while the SQL is built: no row has such a primary key, and no text such a character.
_FIRST_NUMBER = 1 << 61
_TEXT = "\ue000{}\ue001"
# Cached statements of each query, one for each shape.
_SHAPES = 64


class Compiled(Generic[Row]):
    """A query whose SQL is built once for each shape.

    :param build: returns the queryset, of models or of tuples (``values_list``), for values and, after these, the
        arguments that change its SQL (the shape). A value is a primary key or a text that a column is compared with;
        ``build`` gets placeholders, so it must not depend on the values.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, Row]]) -> None:
        functools.update_wrapper(self, build)
        self._statement = functools.lru_cache(maxsize=_SHAPES)(functools.partial(_Statement, build))

    def __call__(self, *values: int | str, shape: tuple[Hashable, ...] = ()) -> list[Row]:
        """The rows of the query for these values.

        :param shape: the other arguments of ``build``.
        :raises TypeError: when a value is neither a number nor a text.
        :raises ValueError: when the query does not use a value, or ``build`` has changed it.
        """
        kinds = tuple([type(value) for value in values])
        return self._statement(kinds, shape).rows(values)


class _Statement:
    """The SQL of one shape, the position of each value, and the conversion of its rows to objects."""

    def __init__(
        self, build: Callable[..., QuerySet[Any, Any]], kinds: tuple[type, ...], shape: tuple[Any, ...]
    ) -> None:
        if other := set(kinds) - {int, str}:
            raise TypeError(f"a value must be a number or a text, not a {other.pop().__name__}")
        marks = [_FIRST_NUMBER + n if kind is int else _TEXT.format(n) for n, kind in enumerate(kinds)]
        queryset = build(*marks, *shape)
        compiler = queryset.query.get_compiler(connection=connection)
        self._sql, parameters = compiler.as_sql()
        places = {mark: number for number, mark in enumerate(marks)}
        if missing := places.keys() - set(filter(_can_be_mark, parameters)):
            raise ValueError(f"the query does not use {len(missing)} of its values")
        self._parameters = [
            (True, places[one]) if _can_be_mark(one) and one in places else (False, one) for one in parameters
        ]
        self._expressions = [expression for expression, *_ in compiler.select]
        self._converters = compiler.get_converters(self._expressions)
        self._compiler = compiler
        makes_objects = issubclass(queryset._iterable_class, ModelIterable)
        self._make = _Objects(queryset, compiler) if makes_objects else self._tuples

    def rows(self, values: tuple[int | str, ...]) -> list[Any]:
        parameters = [values[one] if is_value else one for is_value, one in self._parameters]
        with connection.cursor() as cursor:
            cursor.execute(self._sql, parameters)
            found = cursor.fetchall()
        if self._converters:
            found = self._compiler.apply_converters(found, self._converters)
        return self._make(found)

    @staticmethod
    def _tuples(found: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in found]


class _Objects:
    """Converts rows to models, as Django's ``ModelIterable`` does."""

    def __init__(self, queryset: QuerySet[Any, Any], compiler: Any) -> None:
        self._database = queryset.db
        information, select = compiler.klass_info, compiler.select
        fields = information["select_fields"]
        self._start, self._end = fields[0], fields[-1] + 1
        self._model: type[Model] = information["model"]
        self._names = [column.target.attname for column, *_ in select[self._start : self._end]]
        self._related = get_related_populators(information, select, self._database)  # type: ignore[call-arg]
        self._annotations = list(compiler.annotation_col_map.items())

    def __call__(self, found: Any) -> list[Model]:
        return [self._object(row) for row in found]

    def _object(self, row: Any) -> Model:
        one = self._model.from_db(self._database, self._names, row[self._start : self._end])
        for related in self._related:
            related.populate(row, one)
        for name, place in self._annotations:
            setattr(one, name, row[place])
        return one


def _can_be_mark(parameter: Any) -> bool:
    return type(parameter) in (int, str)
