"""INSERT with ON CONFLICT DO NOTHING, and advisory locks: races for unique values.

A failed INSERT rolls back the transaction and writes a line to the database server's log, and any user could cause
many of them by typing names.
"""

from __future__ import annotations

import hashlib

from django.db import connection, models, transaction


def insert(row: models.Model) -> bool:
    """Insert ``row`` unless that violates a unique constraint (``ON CONFLICT DO NOTHING``).

    Like Django's ``bulk_create`` it calls no ``save`` and sends no signals. Like a plain INSERT it waits for concurrent
    transactions that insert or delete a row with the same unique value.

    :param row: a new row of a table with an automatic primary key, which is set if the row was inserted.
    :return: whether it was inserted.
    :raises django.db.IntegrityError: when another kind of constraint is violated.
    """
    table, key = row._meta.db_table, row._meta.pk.column
    with transaction.atomic():
        # Django does not say which rows were skipped, so the row gets a new key first, and is then selected by it.
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
    """Take a transaction-level advisory lock on a unique value, waiting for other transactions that hold it.

    Against races when an UPDATE sets a unique value: a query after this stays true until the commit.

    :param kind: name of the unique column, so that equal texts in two columns have different locks.
    """
    digest = hashlib.sha256(f"{kind}\x00{value}".encode(errors="surrogatepass")).digest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(digest[:8], signed=True)])
