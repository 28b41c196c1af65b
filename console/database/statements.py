"""PostgreSQL's ``statement_timeout`` for the connections of this process.

A management command has none: its operator sees that it takes long, and can end it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.conf import settings
from django.db import connection, connections, transaction

# Seconds, for web requests and for jobs.
PAGE_SECONDS = 10
JOB_SECONDS = 600

_limit = {"seconds": 0}


def limit_statements(seconds: int) -> None:
    """Let no statement of this process take longer, on connections that are made from now on.

    :param seconds: 0 for no limit.
    """
    _limit["seconds"] = seconds
    connections.close_all()


def statement_seconds() -> int:
    """What ``limit_statements`` was told last; 0 for no limit, or where ``STATEMENT_TIMEOUT`` is off."""
    return _limit["seconds"] if settings.STATEMENT_TIMEOUT else 0


@contextmanager
def long_statements() -> Iterator[None]:
    """Let each statement of this block take as long as one of a job; where there is a limit it is a transaction."""
    if not statement_seconds():
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{JOB_SECONDS}s'")
        yield


def took_too_long(error: BaseException) -> bool:
    """Whether PostgreSQL ended a statement because it took too long."""
    return isinstance(error, psycopg.errors.QueryCanceled) or isinstance(error.__cause__, psycopg.errors.QueryCanceled)
