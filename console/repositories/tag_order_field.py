"""Model field for a tag's sort key, and the migration helper that fills it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import models

from console.repositories.tag_order import LONGEST_KEY, sort_key

_BATCH = 5000


class TagOrderField(models.CharField):  # type: ignore[type-arg]
    """The sort key of the row's ``name``, computed whenever Django writes the row (``save``, ``bulk_create``).

    Raw SQL statements must set it: the column has no default and is NOT NULL. Sorted bytewise (collation ``C``),
    whatever the database's default collation.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Set the fixed options of the column; ``deconstruct`` may pass them again."""
        options = {"max_length": LONGEST_KEY, "db_collation": "C", "editable": False, **options}
        super().__init__(*arguments, **options)

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        """Compute the key, and set it on the instance too."""
        key = sort_key(model_instance.name)  # type: ignore[attr-defined]
        setattr(model_instance, self.attname, key)
        return key


def fill_sort_keys(table: str, *, again: bool = False) -> Callable[[Any, Any], None]:
    """Migration operation that computes the sort keys of a table, with one transaction per batch.

    The migration needs ``atomic = False``. Idempotent: an interrupted run is resumed by the next one.

    :param table: a table with the columns ``id``, ``name`` and ``sort_key``.
    :param again: compute all keys, for a migration that changes the order; otherwise only those that are null.
    """
    select = f"SELECT id, name FROM {table} WHERE id > %s AND (%s OR sort_key IS NULL) ORDER BY id LIMIT %s"  # noqa: S608  # nosec B608
    update = (
        f"UPDATE {table} SET sort_key = new.key FROM unnest(%s::bigint[], %s::text[]) AS new (id, key) "  # noqa: S608  # nosec B608
        f"WHERE {table}.id = new.id"
    )

    def fill(_apps: Any, schema_editor: Any) -> None:
        last = -(1 << 63)
        with schema_editor.connection.cursor() as cursor:
            while True:
                cursor.execute(select, [last, again, _BATCH])
                rows = cursor.fetchall()
                if not rows:
                    return
                cursor.execute(update, [[key for key, _name in rows], [sort_key(name) for _key, name in rows]])
                last = rows[-1][0]

    return fill
