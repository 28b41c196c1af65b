"""PostgreSQL's ``statement_timeout`` for the connections of this process.

Management commands have none: the operator sees that one takes long, and can stop it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from django.conf import settings
from django.db import NotSupportedError, ProgrammingError, connection, connections, transaction
from django.db.backends.utils import CursorWrapper

T = TypeVar("T")

# Seconds, for web requests and for jobs.
PAGE_SECONDS = 10
JOB_SECONDS = 600

_limit = {"seconds": 0}


def limit_statements(seconds: int) -> None:
    """Set the statement timeout of this process, for new connections; open ones are closed.

    :param seconds: 0 for no limit.
    """
    _limit["seconds"] = seconds
    connections.close_all()


def statement_seconds() -> int:
    """The statement timeout in seconds; 0 for no limit, or if ``STATEMENT_TIMEOUT`` is off."""
    return _limit["seconds"] if settings.STATEMENT_TIMEOUT else 0


@contextmanager
def long_statements() -> Iterator[None]:
    """Use the statement timeout of jobs in this block; if there is a timeout, the block is a transaction."""
    if not statement_seconds():
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{JOB_SECONDS}s'")
        yield


def with_prepared_statements(work: Callable[[], T]) -> T:
    """Do work that uses prepared statements, and do it again on a new connection if one of them is gone or outdated.

    That is so after a table was changed, or a connection pooler switched connections. ``frequent_cursor`` prepares its
    statements in this call.

    :param work: a transaction of its own; it has no effect when it raises.
    """
    before = connection.prepares_frequent  # type: ignore[attr-defined]
    connection.prepares_frequent = True  # type: ignore[attr-defined]
    try:
        try:
            return work()
        except (NotSupportedError, ProgrammingError):
            if connection.in_atomic_block:
                raise
            connection.close()
            return work()
    finally:
        connection.prepares_frequent = before  # type: ignore[attr-defined]


def frequent_cursor() -> CursorWrapper:
    """A cursor of this thread's connection for statements that are prepared in ``with_prepared_statements``."""
    cursor: CursorWrapper = connection.frequent_cursor()  # type: ignore[attr-defined]
    return cursor


@contextmanager
def pipelined_transaction() -> Iterator[None]:
    """A transaction whose statements are sent without waiting for the result of each (``pipeline``)."""
    with connection.pipeline(), transaction.atomic():  # type: ignore[attr-defined]
        yield


def commit_without_waiting() -> None:
    """Let the caller's transaction end before it is on the disk.

    It is there at the latest with the next transaction that waits. If PostgreSQL is killed before, it is lost.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")


def took_too_long(error: BaseException) -> bool:
    """Whether PostgreSQL cancelled a statement because of the statement timeout."""
    return isinstance(error, psycopg.errors.QueryCanceled) or isinstance(error.__cause__, psycopg.errors.QueryCanceled)
