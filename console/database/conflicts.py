"""INSERT with ON CONFLICT DO NOTHING, and advisory locks, for unique values that may be taken.

A failed INSERT costs a rolled back transaction and a line in the database server's log, and anybody who types names
can cause as many of them as they like.
"""

from __future__ import annotations

import hashlib

from django.db import connection, models, transaction


def insert(row: models.Model) -> bool:
    """Insert ``row`` unless a unique constraint of its table stands in the way (``ON CONFLICT DO NOTHING``).

    Like Django's ``bulk_create`` it calls no ``save`` and sends no signals. It waits for transactions that are just
    inserting or deleting such a row, as a plain INSERT does.

    :param row: a new row of a table with an automatic primary key; it has its key afterwards where it was inserted.
    :return: whether it was inserted.
    :raises django.db.IntegrityError: when another kind of constraint refuses the row.
    """
    table, key = row._meta.db_table, row._meta.pk.column
    with transaction.atomic():
        # Django does not say which rows a conflict kept out; the key, which nobody else gets, shows it.
        with connection.cursor() as cursor:
            cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, %s))", [f'"{table}"', key])
            row.pk = cursor.fetchone()[0]
        rows = type(row)._default_manager
        rows.bulk_create([row], ignore_conflicts=True)
        inserted = rows.filter(pk=row.pk).exists()
    if not inserted:
        row.pk = None
        row._state.adding = True
    return inserted


def lock_value(kind: str, value: str) -> None:
    """Wait until no other transaction holds the lock of this value, and hold it to the end of this transaction.

    For a unique value that an UPDATE sets: what is looked up after this stays true until the commit.

    :param kind: of which unique column, so that the same text in two of them has two locks.
    """
    digest = hashlib.sha256(f"{kind}\x00{value}".encode(errors="surrogatepass")).digest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(digest[:8], signed=True)])
