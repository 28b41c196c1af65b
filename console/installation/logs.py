"""Log formatter and filter: no secrets, bounded length, one line for a database outage."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator

import psycopg

_LOST = re.compile(
    r"connection (is (bad|closed|lost)|failed)|no connection to the server|could not receive data from server"
    r"|server closed the connection|terminating connection due to (administrator command|unexpected postmaster exit)"
)
_SECONDS = 10
# Longest record with its traceback, in characters. The middle is cut: beginning and end say most.
LONGEST_RECORD = 16 << 10
# Paths of links in e-mails and of sign-in links: what comes next in the path is a secret that gives access to the
# account. In the syntax that Python's and Go's regular expressions share.
SECRET_PATHS = ("/sign-in/link/", r"/account/reset/[^/\s]+/", "/account/email/", "/invitations/link/", "/sign-up/link/")
_SECRET_PATH = re.compile(rf"({'|'.join(SECRET_PATHS)})(?!-/|set-password/)[^/\s]+")


class WithoutSecrets(logging.Formatter):
    """Removes secrets from log records, and cuts very long ones.

    Secrets occur in URLs, which Django logs for failed requests, and in the ``DETAIL`` of PostgreSQL's errors, which
    contains the whole row with its hashes.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record, tracebacks included."""
        text = super().format(record)
        logged = [record.exc_info[1]] if record.exc_info else []
        logged += [one for one in record.args if isinstance(one, BaseException)] if record.args else []
        for error in _chained(logged):
            if isinstance(error, psycopg.Error) and (message := error.diag.message_primary):
                text = text.replace(str(error), message)
        return _cut(_SECRET_PATH.sub(r"\1…", text))


def _cut(text: str) -> str:
    """Cut a text to ``LONGEST_RECORD`` characters, with a note of how many were removed."""
    half, left_out = LONGEST_RECORD // 2, len(text) - LONGEST_RECORD
    return text if left_out <= 0 else f"{text[:half]} … [{left_out:,} characters left out] … {text[-half:]}"


def _chained(errors: Iterable[BaseException | None]) -> Iterator[BaseException]:
    """These errors, and their causes and contexts."""
    waiting, seen = list(errors), set[int]()
    while waiting:
        error = waiting.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            yield error
            waiting += [error.__cause__, error.__context__]


class DatabaseAway(logging.Filter):
    """Log filter: shortens errors of a lost database connection to one line per process and interval.

    When the database restarts, all running requests and jobs fail at once, with several identical tracebacks each.
    Other errors are logged unchanged.
    """

    _told_at = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten a record about a lost connection; drop it if another was logged just before."""
        reason = _reason(record)
        if not reason:
            return True
        if 0 <= record.created - self._told_at < _SECONDS:
            return False
        self._told_at = record.created
        message = " ".join(record.getMessage().split())
        record.msg = (
            f"{message} [the database cannot be reached: {reason}; "
            f"what else fails for this within {_SECONDS} s is not logged]"
        )
        record.args, record.exc_info, record.exc_text = (), None, None
        return True


def _reason(record: logging.LogRecord) -> str:
    """The error message of a lost database connection; empty if the record is about something else."""
    if record.exc_info and record.exc_info[1]:
        return _loss(record.exc_info[1])
    # The connection pool logs errors and broken connections without a traceback.
    args = record.args if isinstance(record.args, tuple) else ()
    return next((reason for arg in args if (reason := _loss(arg))), "")


def _loss(problem: object) -> str:
    if isinstance(problem, psycopg.Connection | psycopg.AsyncConnection):
        return "a connection broke" if problem.broken else ""
    # Only __cause__: an exception in __context__ would be another error.
    while isinstance(problem, BaseException):
        if isinstance(problem, psycopg.OperationalError) and _LOST.search(str(problem)):
            return str(problem).splitlines()[0]
        problem = problem.__cause__
    return ""
