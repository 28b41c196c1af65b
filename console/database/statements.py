"""How long one statement may take in this process; PostgreSQL ends it after that (``statement_timeout``).

A management command has no limit: its operator sees that it takes long, and can end it.
"""

from __future__ import annotations

import psycopg
from django.db import connections

# For whom a page is made, and what the job worker does.
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
    """What ``limit_statements`` was told last; 0 for no limit."""
    return _limit["seconds"]


def took_too_long(error: BaseException) -> bool:
    """Whether PostgreSQL ended a statement because it took too long."""
    return isinstance(error, psycopg.errors.QueryCanceled) or isinstance(error.__cause__, psycopg.errors.QueryCanceled)
