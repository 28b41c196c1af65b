"""Aggregated audit events: counted in this process's memory, written every few minutes.

Each pull and push needs a token, which is issued with one query and no INSERT. So each process counts the grants, and
a thread writes one row for each kind of event, with the count and the first and last time. A killed process loses at
most ``SECONDS`` of counts. A stopped process flushes them on SIGTERM, because an open connection may keep it running
until it is killed, and again when it exits.
"""

from __future__ import annotations

import atexit
import datetime
import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from django.conf import settings
from django.db import DatabaseError, DataError, InterfaceError, connection, transaction

from console.audit import shutdown
from console.audit.services import Event, record_all

log = logging.getLogger(__name__)

SECONDS = settings.AUDIT_SUMMARY_SECONDS
# Lower bound for ``SECONDS = 0``, so that the thread does not query the database in a busy loop.
_LEAST_SECONDS = 0.1
# Limit of different kinds in memory: about 5 MB. Further events are counted without actor and target.
MOST = 5000
# Limit for one actor, so that one cannot use up all; further events are counted without target.
MOST_OF_ONE = 500
OTHERS = "others"
# Errors of rows that can never be written (UnicodeError: a lone surrogate).
_INVALID_ROW = (DataError, UnicodeError)


class _Kind(NamedTuple):
    """Events that are counted together."""

    action: str
    target: str
    actor: str
    address: str | None
    facts: tuple[tuple[str, object], ...]


# Count, first time and last time of each kind.
_counts: dict[_Kind, tuple[int, float, float]] = {}
# Number of kinds of each actor.
_kinds_of: Counter[str] = Counter()
_lock = threading.Lock()
# Held while rows are written: an exiting process waits for the thread, so that no count is written twice or lost.
_writing = threading.Lock()
_thread: threading.Thread | None = None


def count(action: str, target: str, *, actor: str, address: str | None, **facts: object) -> None:
    """Count one event without a query; it is in the audit log some minutes later.

    :param facts: further hashable values that distinguish events; only with few different values, to save memory.
    """
    now = time.time()
    _add(_Kind(action, target[:400], actor[:64], address, tuple(facts.items())), (1, now, now))
    if _thread is None:
        _begin()


def _add(kind: _Kind, more: tuple[int, float, float]) -> None:
    with _lock:
        if kind not in _counts and _kinds_of[kind.actor] >= MOST_OF_ONE:
            kind = _Kind(kind.action, OTHERS, kind.actor, None, ())
        if kind not in _counts and len(_counts) >= MOST:
            kind = _Kind(kind.action, OTHERS, OTHERS, None, ())
        if kind not in _counts:
            _kinds_of[kind.actor] += 1
        times, first, last = _counts.get(kind, (0, more[1], more[2]))
        _counts[kind] = times + more[0], min(first, more[1]), max(last, more[2])


def flush() -> int:
    """Write the counts to the audit log; returns the number of rows. Invalid rows are dropped and logged.

    :raises django.db.DatabaseError: when they cannot be written; the counts stay in memory for the next attempt.
    """
    with _writing:
        with _lock:
            taken = dict(_counts)
            _clear()
        remaining = dict(taken)
        try:
            try:
                _record(taken)
            except _INVALID_ROW:
                return _record_each(remaining)
        except BaseException:
            for kind, counted in remaining.items():
                _add(kind, counted)
            raise
        return len(taken)


def _record(counted: Mapping[_Kind, tuple[int, float, float]]) -> None:
    with transaction.atomic():
        record_all(_event(kind, *counted[kind]) for kind in counted)


def _record_each(remaining: dict[_Kind, tuple[int, float, float]]) -> int:
    """Write row by row, removing each from ``remaining``: an invalid row must not block the others."""
    written = 0
    for kind, counted in list(remaining.items()):
        try:
            _record({kind: counted})
            written += 1
        except _INVALID_ROW as error:
            # Not the error's message: it contains the value.
            log.error("dropped %s audit events %s: %s", counted[0], kind.action, type(error).__name__)
        del remaining[kind]
    return written


def forget() -> None:
    """Drop all counts that are not written yet."""
    with _lock:
        _clear()


def _clear() -> None:
    _counts.clear()
    _kinds_of.clear()


def _event(kind: _Kind, times: int, first: float, last: float) -> Event:
    moments = {"first": _moment(first), "last": _moment(last)} if times > 1 else {"first": _moment(first)}
    return Event(kind.action, kind.target, kind.actor, {**dict(kind.facts), "times": times, **moments}, kind.address)


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")


def _begin() -> None:
    """Start the writer thread once in each process, and register a last flush at exit."""
    global _thread
    with _lock:
        if _thread is not None:
            return
        _thread = threading.Thread(target=_write_until_shutdown, name="audit summaries", daemon=True)
    atexit.register(_write)
    _thread.start()


def _write_until_shutdown() -> None:
    while not shutdown.over.wait(max(SECONDS, _LEAST_SECONDS)):
        _write()
    _write()


def _write() -> None:
    """Flush on a connection that is closed afterwards; a failure is retried the next time."""
    try:
        try:
            flush()
        finally:
            connection.close()
    except (DatabaseError, InterfaceError) as error:
        log.warning("%s aggregated audit events are not written yet; retrying: %s", len(_counts), error)
    except Exception:
        # Any error: without this thread nothing would be written any more.
        log.exception("aggregated audit events are not written yet; retrying")
