"""Fairness: slow requests of one account to the gate do not occupy all threads of a process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from django.conf import settings

from console.gate.errors import ProtocolError

# Threads of each process that are reserved for other accounts; the limit is at least two, as that of pages.
_RESERVED, _LOWEST_LIMIT = 2, 2
# Seconds that a request above the limit waits for another to end. A push takes milliseconds, so of many at once all
# have their turn; above the limit are only those that are slow: they wait for a lock, or for the registry.
_PATIENCE = 0.5

_in_progress: Counter[str] = Counter()
_ended = threading.Condition()


@contextmanager
def turn_of(username: str) -> Iterator[None]:
    """Occupy one of the places of an account, or of all anonymous clients, in this process.

    :raises ProtocolError: 429 when none is free for half a second.
    """
    limit = max(settings.WEB_THREADS - _RESERVED, _LOWEST_LIMIT)
    with _ended:
        if not _ended.wait_for(lambda: _in_progress[username] < limit, _PATIENCE):
            raise ProtocolError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "TOOMANYREQUESTS",
                "Too many requests of this account are in progress. Try again shortly.",
                headers={"Retry-After": "1"},
            )
        _in_progress[username] += 1
    try:
        yield
    finally:
        with _ended:
            _in_progress[username] -= 1
            if not _in_progress[username]:
                del _in_progress[username]
            _ended.notify_all()
