"""Rate limit for what one part writes to the log, in bytes (a token bucket)."""

from __future__ import annotations

import time
from collections.abc import Callable

# Bytes that a part may write at once, and each second after that.
BURST = 16 << 20
RATE = 64 << 10


class ByteLimit:
    """Decides line by line. Not for several threads at once.

    When the limit is reached, lines are left out until a second's worth may be written again. So a part that never
    stops is heard of each second: in one line that says how many are missing, and some that follow each other.
    """

    def __init__(self, burst: int = BURST, rate: int = RATE, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with the whole burst.

        :param burst: bytes at once.
        :param rate: bytes a second.
        :param clock: seconds, from any moment on.
        """
        self._burst, self._rate, self._clock = burst, rate, clock
        self._left = float(burst)
        self._at = clock()
        self._is_over = False
        self._left_out = 0

    def takes(self, size: int) -> bool:
        """Whether a line of so many bytes is written. One that is not is counted."""
        self._refill()
        if self._is_over or size > self._left:
            self._is_over = True
            self._left_out += 1
            return False
        self._left -= size
        return True

    def left_out(self) -> str:
        """How many lines were left out, in a sentence, once writing resumes; empty when none were, or too soon."""
        if not self._left_out:
            return ""
        self._refill()
        if self._is_over:
            return ""
        lines = f"{self._left_out:,} lines" if self._left_out > 1 else "1 line"
        self._left_out = 0
        return f"{lines} left out: more than {self._rate / 1024:g} KiB a second."

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left >= min(self._rate, self._burst):
            self._is_over = False
