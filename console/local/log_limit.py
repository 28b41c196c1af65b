"""Rate limit for the log output of one part, in bytes (token bucket)."""

from __future__ import annotations

import time
from collections.abc import Callable

# Bytes that a part may write at once, and each second after that.
BURST = 16 << 20
RATE = 64 << 10


class ByteLimit:
    """Decides for each line. Not thread-safe.

    When the limit is reached, lines are dropped until a second's worth may be written again. So a part that writes
    without end still gets some consecutive lines each second, and one line that says how many were dropped.
    """

    def __init__(self, burst: int = BURST, rate: int = RATE, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with the whole burst.

        :param burst: bytes at once.
        :param rate: bytes a second.
        :param clock: monotonic clock in seconds.
        """
        self._burst, self._rate, self._clock = burst, rate, clock
        self._left = float(burst)
        self._at = clock()
        self._is_over = False
        self._left_out = 0

    def takes(self, size: int) -> bool:
        """Whether a line of so many bytes is written; otherwise it is counted as dropped."""
        self._refill()
        if self._is_over or size > self._left:
            self._is_over = True
            self._left_out += 1
            return False
        self._left -= size
        return True

    def left_out(self) -> str:
        """Message with the number of dropped lines, once writing resumes; empty if there are none, or too soon."""
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
