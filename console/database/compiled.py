"""Queries that nearly every page asks: Django writes each of them once, and from then on only values are filled in.

Half of what such a query costs is Django's making of its SQL, which comes out the same each time. Only the queries are
written so that a page, or the question whether a list has changed, would otherwise take a third longer
(docs/decisions/0042).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable, get_related_populators

Row = TypeVar("Row")

# Stand in for values while the SQL is made: nobody has such a primary key, and no text has such a character.
_FIRST_NUMBER = 1 << 61
_TEXT = "\ue000{}\ue001"
# Statements that are kept of each query, one for each shape.
_SHAPES = 64


class Compiled(Generic[Row]):
    """A query whose SQL is made once for each shape.

    :param build: makes the query, for models or for tuples (``values_list``), of values and, after these, of whatever
        else decides what its SQL looks like. A value is a primary key or a text that something is equal to, and may
        not be looked at: ``build`` gets a stand-in.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, Row]]) -> None:
        functools.update_wrapper(self, build)
        self._statement = functools.lru_cache(maxsize=_SHAPES)(functools.partial(_Statement, build))

    def __call__(self, *values: int | str, shape: tuple[Hashable, ...] = ()) -> list[Row]:
        """The rows of the query for these values.

        :param shape: what else ``build`` is given.
        :raises TypeError: when a value is neither a number nor a text.
        :raises ValueError: when a value is found nowhere in the query, or ``build`` has changed it.
        """
        kinds = tuple([type(value) for value in values])
        return self._statement(kinds, shape).rows(values)


class _Statement:
    """The SQL of one shape, where each value goes, and how its rows become objects."""

    def __init__(
        self, build: Callable[..., QuerySet[Any, Any]], kinds: tuple[type, ...], shape: tuple[Any, ...]
    ) -> None:
        if other := set(kinds) - {int, str}:
            raise TypeError(f"a value is a number or a text, no {other.pop().__name__}")
        marks = [_FIRST_NUMBER + n if kind is int else _TEXT.format(n) for n, kind in enumerate(kinds)]
        queryset = build(*marks, *shape)
        compiler = queryset.query.get_compiler(connection=connection)
        self._sql, parameters = compiler.as_sql()
        places = {mark: number for number, mark in enumerate(marks)}
        if missing := places.keys() - set(filter(_can_be_mark, parameters)):
            raise ValueError(f"the query has no place for {len(missing)} of its values")
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
    """Makes models of rows, as Django's ``ModelIterable`` does."""

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
