"""Concurrency limit for password hashing, so that a flood of passwords leaves threads for everybody."""

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

# One hash takes 100 MB and several threads: more at a time would be slower, and could use up a small machine's memory.
_hashing = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // 2))
_lock = threading.Lock()
_strangers = 0
_BUSY_SECONDS = 2


class TryAgainLater(PermissionDenied):
    """A password cannot be tried now, right or wrong; ``seconds`` says when.

    Django's ``authenticate`` takes it for a refusal, so that it never comes to more than that.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = math.ceil(seconds)

    @property
    def message(self) -> str:
        """What a person reads."""
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
    """Too many passwords are being compared in this process."""

    def __init__(self) -> None:
        super().__init__(_BUSY_SECONDS)

    @property
    def message(self) -> str:
        """What a person reads."""
        return _("Too many passwords are being checked right now. Try again in a moment.")


@contextmanager
def place(*, known: bool) -> Iterator[None]:
    """A place to hash one password in, when it is one's turn.

    Strangers may take up half of this process's threads and no more, waiting or hashing. Whoever comes from an address
    that is known for the account always waits: there are few wrong passwords that they may try, and right ones are
    remembered.

    :raises Busy: at once, when there is no place.
    """
    global _strangers
    if not known:
        with _lock:
            if _strangers >= max(1, settings.WEB_THREADS // 2):
                raise Busy
            _strangers += 1
    try:
        with _hashing:
            yield
    finally:
        if not known:
            with _lock:
                _strangers -= 1
