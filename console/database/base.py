"""Django's PostgreSQL backend, with prepared statements, pipelines, and a health check without a round trip.

``DATABASES["default"]["ENGINE"]`` names this package; Django loads ``DatabaseWrapper`` from this module.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper

from console.database.statements import statement_seconds


class _PreparedCursor(psycopg.Cursor[Any]):
    """A server-side cursor that prepares its statement: once for each connection, with a cached plan."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> _PreparedCursor:
        # Set for this statement only: otherwise psycopg stores the text of a hundred other statements to count them.
        self.connection.prepare_threshold = 0
        try:
            super().execute(query, params, prepare=True, **options)
        finally:
            self.connection.prepare_threshold = None
        return self


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL."""

    # Django's attributes, missing in its type stubs.
    health_check_enabled: bool
    health_check_done: bool
    # Whether ``frequent_cursor`` prepares: set by ``statements.with_prepared_statements``.
    prepares_frequent = False

    def close_if_health_check_failed(self) -> None:
        """Health check before a request's first query: close the connection if the server has closed its side.

        Django sends ``SELECT 1``. Here the kernel says without a round trip whether the server's end is closed, as it
        is after the server has stopped or was killed.
        """
        checked = self.health_check_done or not self.health_check_enabled
        if self.connection is None or checked:
            return
        if _is_closed_by_server(self.connection):
            self.close()
        self.health_check_done = True

    def init_connection_state(self) -> None:
        """Set the statement timeout, and generic plans for prepared statements.

        By default PostgreSQL plans a prepared statement again for each set of values if it expects a better plan, which
        takes three times as long. Our prepared statements select rows by their keys, so one plan is enough.
        """
        super().init_connection_state()
        with self.connection.cursor() as cursor:
            cursor.execute("SET plan_cache_mode = force_generic_plan")
            if seconds := statement_seconds():
                cursor.execute(f"SET statement_timeout = '{seconds}s'")

    def prepared_cursor(self) -> CursorWrapper:
        """A cursor for prepared statements: for the few that run so often that planning them would be noticeable.

        :raises django.db.OperationalError: when the database cannot be reached.
        """
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            cursor: CursorWrapper = self._prepare_cursor(_PreparedCursor(self.connection))  # type: ignore[attr-defined]
            return cursor

    def frequent_cursor(self) -> CursorWrapper:
        """A cursor for statements that some callers execute often: prepared in ``with_prepared_statements``.

        :raises django.db.OperationalError: when the database cannot be reached.
        """
        cursor: CursorWrapper = self.prepared_cursor() if self.prepares_frequent else self.cursor()
        return cursor

    @contextmanager
    def pipeline(self) -> Iterator[None]:
        """Pipeline mode: statements in this block are sent without waiting for the result of each.

        Waiting is most of the time of a short statement. Fetching a row, or ending a transaction, waits for all
        statements before it; an error may be raised as late as that.

        :raises django.db.DatabaseError: at the end, for failed statements whose result was not fetched.
        """
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors, self.connection.pipeline():
            yield


def _is_closed_by_server(connection: psycopg.Connection[Any]) -> bool:
    """Whether there is something to read although no statement is running: end of file, or a final error message."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
