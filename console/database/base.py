"""Django's PostgreSQL backend, without a round trip for each request's health check, with prepared statements and
pipelines.

Named by ``DATABASES["default"]["ENGINE"]``; Django asks for this module's ``DatabaseWrapper``.
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
    """Binds on the server and lets it keep the plan: psycopg prepares the statement once for each connection."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> _PreparedCursor:
        # Allowed for this one alone: otherwise psycopg keeps the text of a hundred others, however long, to count them.
        self.connection.prepare_threshold = 0
        try:
            super().execute(query, params, prepare=True, **options)
        finally:
            self.connection.prepare_threshold = None
        return self


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL."""

    # Django's own, which its type stubs leave out.
    health_check_enabled: bool
    health_check_done: bool

    def close_if_health_check_failed(self) -> None:
        """Before a request's first query: close the connection if the server has left.

        Django asks the server (``SELECT 1``). A server that has ended, or was killed, has closed its side, and that the
        kernel can tell without asking anybody. Whoever has vanished without a word would not answer either.
        """
        checked = self.health_check_done or not self.health_check_enabled
        if self.connection is None or checked:
            return
        if _has_left(self.connection):
            self.close()
        self.health_check_done = True

    def init_connection_state(self) -> None:
        """Django's own, and: no statement takes longer than it may, and a prepared one keeps its plan.

        Left to itself, PostgreSQL plans it anew each time as long as it thinks that a plan for just these values is
        worth that, and takes three times as long. Whoever prepares one here asks for rows by their keys.
        """
        super().init_connection_state()
        with self.connection.cursor() as cursor:
            cursor.execute("SET plan_cache_mode = force_generic_plan")
            if seconds := statement_seconds():
                cursor.execute(f"SET statement_timeout = '{seconds}s'")

    def prepared_cursor(self) -> CursorWrapper:
        """A cursor for the few statements that are asked so often that planning them each time would show.

        :raises django.db.OperationalError: when there is no connection and none can be made.
        """
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            cursor: CursorWrapper = self._prepare_cursor(_PreparedCursor(self.connection))  # type: ignore[attr-defined]
            return cursor

    @contextmanager
    def pipeline(self) -> Iterator[None]:
        """Statements in this block are sent without waiting for the answer to each of them.

        Waiting is most of what a short statement costs. Whatever needs an answer (a fetched row, the end of a
        transaction) waits for all that was sent before; a failure may show as late as that.

        :raises django.db.DatabaseError: at the end, for what failed and was not asked about.
        """
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors, self.connection.pipeline():
            yield


def _has_left(connection: psycopg.Connection[Any]) -> bool:
    """Whether something can be read although nothing was asked: the end, or the server's last words."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
