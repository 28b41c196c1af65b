"""Concurrency limit for the requests of one account to the gate.

A request that waits for its place occupies a thread, too: three seconds at most without progress.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from django.conf import settings

from console.gate.errors import ProtocolError

# Threads of each process that are reserved for other accounts; the limit is at least two, as that of pages.
_RESERVED, _LOWEST_LIMIT = 2, 2
# Seconds without progress after which a request above the limit is refused.
_PATIENCE = 3.0


@dataclass
class _Account:
    """The requests of an account in this process; ``moved_at`` is when one last began or ended (monotonic clock)."""

    in_progress: int = 0
    waiting: int = 0
    moved_at: float = field(default_factory=time.monotonic)


_accounts: dict[str, _Account] = {}
_ended = threading.Condition()


@contextmanager
def turn_of(username: str) -> Iterator[None]:
    """Occupy one of the places of an account, or of all anonymous clients, in this process.

    A push takes milliseconds, so requests above the limit wait as long as others of the account end, also on a busy
    machine. Where none ends, all of them wait for a lock or for the registry: then those above the limit are refused.

    :raises ProtocolError: 429 when no place is free, and none has become free for three seconds.
    """
    limit = max(settings.WEB_THREADS - _RESERVED, _LOWEST_LIMIT)
    with _ended:
        account = _accounts.setdefault(username, _Account())
        account.waiting += 1
        try:
            while account.in_progress >= limit:
                left = account.moved_at + _PATIENCE - time.monotonic()
                if left <= 0:
                    raise ProtocolError(
                        HTTPStatus.TOO_MANY_REQUESTS,
                        "TOOMANYREQUESTS",
                        "Too many slow requests of this account are in progress. Try again shortly.",
                        headers={"Retry-After": "3"},
                    )
                _ended.wait(left)
            account.in_progress += 1
            account.moved_at = time.monotonic()
        finally:
            account.waiting -= 1
    try:
        yield
    finally:
        with _ended:
            account.in_progress -= 1
            account.moved_at = time.monotonic()
            if not account.in_progress and not account.waiting:
                del _accounts[username]
            _ended.notify_all()
