"""Audit events that are summed up: counted in this process's memory, written every few minutes.

A token is given out for each pull and push, with one query and no insert. So each process counts who was granted what,
and a thread writes one row for each kind of event, with how often it happened, first and last. A process that is killed
loses what it has counted since (``SECONDS``, at most); one that is stopped writes it down when it is told to, for an
open connection may keep it until it is killed, and once more when it ends.
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
# With 0, rows are written as they come, without asking the database in an endless loop.
_LEAST_SECONDS = 0.1
# So many kinds are kept apart between two rows: about 5 MB. What comes on top is counted without saying who and what.
MOST = 5000
# So many of them are one actor's, that nobody uses all of them up: of theirs on top, the actor and the action are kept.
MOST_OF_ONE = 500
OTHERS = "others"
# What says that a row can never be written, as it is: half a character is refused before the database sees it.
_REFUSED = (DataError, UnicodeError)


class _Kind(NamedTuple):
    """What is counted together."""

    action: str
    target: str
    actor: str
    address: str | None
    facts: tuple[tuple[str, object], ...]


# How often, and when first and last.
_counts: dict[_Kind, tuple[int, float, float]] = {}
# How many of these are whose.
_kinds_of: Counter[str] = Counter()
_lock = threading.Lock()
# Held while rows are written: a process that ends waits for the thread, so that nothing is written twice or not at all.
_writing = threading.Lock()
_thread: threading.Thread | None = None


def count(action: str, target: str, *, actor: str, address: str | None, **facts: object) -> None:
    """Count one event; it is in the trail some minutes later. Asks nobody.

    :param facts: what else is told apart, by hashable values; of few kinds, or the memory for them runs out.
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
    """Write down what was counted; how many rows that took. What the database refuses is dropped, and logged.

    :raises django.db.DatabaseError: when it cannot be written; it is kept for the next time.
    """
    with _writing:
        with _lock:
            taken = dict(_counts)
            _clear()
        left = dict(taken)
        try:
            try:
                _record(taken)
            except _REFUSED:
                return _record_each(left)
        except BaseException:
            for kind, counted in left.items():
                _add(kind, counted)
            raise
        return len(taken)


def _record(counted: Mapping[_Kind, tuple[int, float, float]]) -> None:
    with transaction.atomic():
        record_all(_event(kind, *counted[kind]) for kind in counted)


def _record_each(left: dict[_Kind, tuple[int, float, float]]) -> int:
    """Write row by row, and take from ``left`` what is dealt with: one that is refused must not hold up all others."""
    written = 0
    for kind, counted in list(left.items()):
        try:
            _record({kind: counted})
            written += 1
        except _REFUSED as error:
            # Not what it says: that has the value in it.
            log.error("%s of %s is not written to the audit log: %s", counted[0], kind.action, type(error).__name__)
        del left[kind]
    return written


def forget() -> None:
    """Forget what was counted and not written down."""
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
    """Start the thread that writes, once in each process, and see that a process that ends writes the rest."""
    global _thread
    with _lock:
        if _thread is not None:
            return
        _thread = threading.Thread(target=_write_for_ever, name="audit summaries", daemon=True)
    atexit.register(_write)
    _thread.start()


def _write_for_ever() -> None:
    while not shutdown.over.wait(max(SECONDS, _LEAST_SECONDS)):
        _write()
    _write()


def _write() -> None:
    """Write, on a connection that is closed again; what fails is tried the next time."""
    try:
        try:
            flush()
        finally:
            connection.close()
    except (DatabaseError, InterfaceError) as error:
        log.warning("%s kinds of summarised events are not in the audit log yet: %s", len(_counts), error)
    except Exception:
        # Whatever it is: there is one thread, and nothing would be written any more without it.
        log.exception("summarised events are not in the audit log yet")
