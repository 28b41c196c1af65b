"""Log formatter and filters: no secrets, bounded length, one line for a lost database."""

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
# Characters of a record, its traceback included: the beginning says what happened, the end what went wrong.
LONGEST_RECORD = 16 << 10
# Addresses in e-mails and sign-in links: the rest of the path is a secret that opens the account.
_OPENING = re.compile(r"(/sign-in/link/|/account/reset/[^/\s]+/|/account/email/(?!-/))(?!set-password/)[^/\s]+")


class WithoutSecrets(logging.Formatter):
    """Cuts what is very long, and leaves out what opens an account.

    That is in addresses, which Django logs of each failed or refused request, and in what PostgreSQL says of a failed
    statement beyond its message (``DETAIL`` holds the whole row, hashes included).
    """

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record, tracebacks included."""
        text = super().format(record)
        logged = [record.exc_info[1]] if record.exc_info else []
        logged += [one for one in record.args if isinstance(one, BaseException)] if record.args else []
        for error in _chained(logged):
            if isinstance(error, psycopg.Error) and (message := error.diag.message_primary):
                text = text.replace(str(error), message)
        return _cut(_OPENING.sub(r"\1…", text))


def _cut(text: str) -> str:
    """At most ``LONGEST_RECORD`` characters of a text, and what says how many were left out."""
    half, left_out = LONGEST_RECORD // 2, len(text) - LONGEST_RECORD
    return text if left_out <= 0 else f"{text[:half]} … [{left_out:,} characters left out] … {text[-half:]}"


def _chained(errors: Iterable[BaseException | None]) -> Iterator[BaseException]:
    """These errors, and those that they were raised from or while handling."""
    waiting, seen = list(errors), set[int]()
    while waiting:
        error = waiting.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            yield error
            waiting += [error.__cause__, error.__context__]


class DatabaseAway(logging.Filter):
    """Says that the database is away in one line of each process, now and then.

    When it is started again, all that is under way fails at once, each with several tracebacks that say the same.
    What fails for any other reason is left as it is.
    """

    _told_at = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten a record that tells of a lost connection; leave it out when one was told of just before."""
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
    """How a connection to the database was lost, where that is what the record tells of."""
    if record.exc_info and record.exc_info[1]:
        return _loss(record.exc_info[1])
    # The connection pool logs errors, and connections that broke, without a traceback.
    args = record.args if isinstance(record.args, tuple) else ()
    return next((reason for arg in args if (reason := _loss(arg))), "")


def _loss(problem: object) -> str:
    if isinstance(problem, psycopg.Connection | psycopg.AsyncConnection):
        return "a connection broke" if problem.broken else ""
    # What was raised from the loss, not merely after it: that would be another error.
    while isinstance(problem, BaseException):
        if isinstance(problem, psycopg.OperationalError) and _LOST.search(str(problem)):
            return str(problem).splitlines()[0]
        problem = problem.__cause__
    return ""
