"""Find the end of a chunked body (RFC 9112, 7.1)."""

from __future__ import annotations

import re

# Bytes of a chunk's size with its extensions; gunicorn's parser refuses longer ones as well.
_LONGEST_SIZE_LINE = 8190
_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}")


class ChunkScanner:
    """Scans the chunks of a body that arrives in pieces, without decoding them.

    ``count`` is the number of chunks so far.

    :param start: the offset of the body's first byte.
    """

    def __init__(self, start: int) -> None:
        self._at = self._searched = start
        self._in_trailers = False
        self.count = 0

    def end(self, received: bytearray) -> int | None:
        """The offset after the body and its trailers, or ``None`` while they are incomplete.

        A malformed body ends at the end of the received bytes: the HTTP parser will reject it.

        :param received: the bytes of the last call, and those received since.
        """
        while not self._in_trailers:
            line_end = received.find(b"\r\n", self._at, self._at + _LONGEST_SIZE_LINE)
            if line_end < 0:
                return len(received) if len(received) - self._at >= _LONGEST_SIZE_LINE else None
            size = _SIZE.match(received, self._at, line_end)
            if size is None:
                return len(received)
            number = int(size[0], 16)
            self.count += 1
            if number:
                self._at = line_end + 2 + number + 2
            else:
                self._at = self._searched = line_end + 2
                self._in_trailers = True
        return self._end_of_trailers(received)

    def _end_of_trailers(self, received: bytearray) -> int | None:
        if received.startswith(b"\r\n", self._at):
            return self._at + 2
        found = received.find(b"\r\n\r\n", self._searched)
        if found >= 0:
            return found + 4
        # The end may be split between two pieces.
        self._searched = max(self._at, len(received) - 3)
        return None
