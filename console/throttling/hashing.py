"""Concurrency limit for password hashing, so that a flood of passwords cannot occupy all threads."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

# One hash takes 100 MB and several threads: more at once would be slower, and could exhaust a small machine's memory.
_hashing = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // 2))
_lock = threading.Lock()
_unknown_clients = 0
_BUSY_SECONDS = 2


class TryAgainLater(PermissionDenied):
    """Rate limited: no password is checked for the next ``seconds``, correct or not.

    A ``PermissionDenied``, so that Django's ``authenticate`` stops and rejects the credentials.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = math.ceil(seconds)

    @property
    def message(self) -> str:
        """The message for the user."""
        if self.seconds < 60:
            return ngettext(
                "Too many wrong passwords. Try again in %(count)d second.",
                "Too many wrong passwords. Try again in %(count)d seconds.",
                self.seconds,
            ) % {"count": self.seconds}
        minutes = -(-self.seconds // 60)
        return ngettext(
            "Too many wrong passwords. Try again in %(count)d minute.",
            "Too many wrong passwords. Try again in %(count)d minutes.",
            minutes,
        ) % {"count": minutes}


class Busy(TryAgainLater):
    """Concurrency limit: too many passwords are being hashed in this process."""

    def __init__(self) -> None:
        super().__init__(_BUSY_SECONDS)

    @property
    def message(self) -> str:
        """The message for the user."""
        return _("Too many passwords are being checked right now. Try again in a moment.")


@contextmanager
def slot(*, known: bool) -> Iterator[None]:
    """Hold a slot for hashing one password; waits until one is free.

    Requests from unknown addresses may occupy at most half of this process's threads, waiting or hashing. Requests from
    an address that is known for the account always wait: their wrong passwords are rate limited, and correct ones are
    cached.

    :raises Busy: immediately, when too many requests from unknown addresses wait.
    """
    global _unknown_clients
    if not known:
        with _lock:
            if _unknown_clients >= max(1, settings.WEB_THREADS // 2):
                raise Busy
            _unknown_clients += 1
    try:
        with _hashing:
            yield
    finally:
        if not known:
            with _lock:
                _unknown_clients -= 1
