"""Request buffering for gunicorn: no thread waits while a request arrives (protection against Slowloris).

A thread that reads from a client is blocked by it, so sixteen incomplete requests would block a whole process. Here the
event loop buffers all incoming requests, and assigns a thread when one is complete.

Only gunicorn's parser interprets a request. Here its end is only estimated; if a client misleads the estimate, a thread
waits some seconds for the rest.
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import time
from collections.abc import Callable
from enum import Enum
from typing import Any

from gunicorn.workers.gthread import TConn

from console.local import refusals
from console.local.chunked_body import ChunkScanner

# Timeouts in seconds: of a request's head, after its first byte ...
HEAD_SECONDS = 10.0
# ... of the next piece of its body, after the last piece; and of the whole body, after the head.
PIECE_SECONDS, BODY_SECONDS = 10.0, 60.0
# Timeouts of a thread: for the part of a body that was not buffered, and for a client that reads its response.
THREAD_READ_SECONDS, THREAD_WRITE_SECONDS = 10.0, 30.0
# Bytes. Browsers send heads of about 2 KB. Longer bodies are passed on unread: the application rejects them.
LONGEST_HEAD, LONGEST_BODY = 64 * 1024, 2 * 1024 * 1024
# Limits of a chunked body: bytes with framing, and chunks, because each costs the HTTP parser some microseconds.
# Clients send a form in one chunk, other bodies in chunks of 4 KB and more.
LONGEST_CHUNKED, MOST_CHUNKS = LONGEST_BODY + 128 * 1024, 10_000
# Limit of the request line in bytes. The token endpoint accepts a hundred scopes, which are 29,000 bytes with the
# longest names and all three actions; gunicorn's own limit cannot be above 8,190.
LONGEST_LINE = 32 * 1024

_PIECE = 64 * 1024
_END_OF_HEAD = re.compile(rb"[^\r\n]\r?\n\r?\n")
_LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]{1,15})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:[^\r\n]*\bchunked[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_EXPECTS = re.compile(rb"^expect:[ \t]*100-continue[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class State(Enum):
    """State of an incoming request. ``GONE``: the client has disconnected."""

    WAITING, COMPLETE, LINE_TOO_LONG, HEAD_TOO_LONG, BODY_TOO_LONG, TOO_MANY_CHUNKS, GONE = range(7)


class BufferedSocket(socket.socket):
    """A client's socket with buffered data and timeouts for threads; a timeout counts as a disconnected client.

    ``read_until``: when (monotonic clock) a thread stops reading the current request.
    ``path``: the path of the current request, from ``refusals.path``.
    ``gathered``: data that the loop has received; threads read it first, from offset ``taken``.
    """

    read_until = 0.0
    path = ""
    gathered, taken = b"", 0

    def setblocking(self, flag: bool) -> None:
        """Switch between blocking with a timeout, and non-blocking."""
        self.settimeout(THREAD_WRITE_SECONDS if flag else 0.0)

    def recv(self, *arguments: Any) -> bytes:
        """See ``socket.recv``. :raises ConnectionResetError: on timeout."""
        if self.taken < len(self.gathered):
            start, self.taken = self.taken, min(self.taken + arguments[0], len(self.gathered))
            return self.gathered[start : self.taken]
        waiting = self.gettimeout()
        if not waiting:
            return super().recv(*arguments)
        try:
            self.settimeout(max(0.001, min(waiting, self.read_until - time.monotonic())))
            return super().recv(*arguments)
        except TimeoutError:
            raise _gone() from None
        finally:
            self.settimeout(waiting)

    def rest(self) -> bytes:
        """Remove and return the buffered data that was not read."""
        rest, self.gathered, self.taken = self.gathered[self.taken :], b"", 0
        return rest

    def sendall(self, *arguments: Any) -> None:
        """See ``socket.sendall``. :raises ConnectionResetError: on timeout."""
        try:
            super().sendall(*arguments)
        except TimeoutError:
            raise _gone() from None

    def sendfile(self, *arguments: Any, **named: Any) -> int:
        """See ``socket.sendfile``. :raises ConnectionResetError: on timeout."""
        try:
            return super().sendfile(*arguments, **named)
        except TimeoutError:
            raise _gone() from None


def _gone() -> ConnectionResetError:
    # Gunicorn logs any other error with a traceback.
    return ConnectionResetError(errno.ECONNRESET, "the client is too slow")


class Connection(TConn):  # type: ignore[misc]
    """A client's connection, with the buffer of its next request.

    ``until`` is the deadline (monotonic clock) of the loop for the next data.
    """

    def __init__(
        self, cfg: Any, client: socket.socket, address: Any, server: Any, leave: Callable[[socket.socket], None]
    ) -> None:
        own = BufferedSocket(client.family, client.type, client.proto, fileno=client.detach())
        super().__init__(cfg, own, address, server)
        self.received = bytearray()
        self.until = 0.0
        self._leave = leave
        self._needed = self._searched = 0
        self._chunks: ChunkScanner | None = None
        self._all_until = 0.0

    def begin(self) -> None:
        """Start to wait for the next request; the parser may have read its beginning with the last one."""
        self.sock.setblocking(False)
        self.until, self._needed, self._searched = time.monotonic() + self.cfg.keepalive, 0, 0
        self._chunks, self._all_until = None, 0.0
        if self.initialized:
            self.received += self.parser.unreader.take_buffered()

    def gather(self) -> State:
        """Receive available data without blocking."""
        if self.received and (state := self._state()) is not State.WAITING:
            return state
        try:
            piece = self.sock.recv(_PIECE)
        except (BlockingIOError, InterruptedError):
            return State.WAITING
        except OSError:
            return State.GONE
        if not piece:
            return State.GONE
        self.received += piece
        return self._state()

    def _state(self) -> State:
        if not self._needed:
            # An empty line may precede the request line (RFC 9112, 2.2).
            line_end = self.received.find(b"\n", 2)
            if (line_end if line_end >= 0 else len(self.received)) > LONGEST_LINE:
                return State.LINE_TOO_LONG
        if self._is_complete():
            return State.COMPLETE
        if self._chunks is not None and self._chunks.count > MOST_CHUNKS:
            return State.TOO_MANY_CHUNKS
        if self._chunks is not None and len(self.received) - self._needed > LONGEST_CHUNKED:
            return State.BODY_TOO_LONG
        return State.HEAD_TOO_LONG if not self._needed and len(self.received) > LONGEST_HEAD else State.WAITING

    def _is_complete(self) -> bool:
        now = time.monotonic()
        if not self._needed:
            found = _END_OF_HEAD.search(self.received, self._searched)
            if found is None:
                # The end may be split between two pieces.
                self._searched = max(0, len(self.received) - 4)
                self._all_until = self._all_until or now + HEAD_SECONDS
                self.until = self._all_until
                return False
            self._begin_body(found.end())
            self._all_until = now + BODY_SECONDS
        self.until = min(now + PIECE_SECONDS, self._all_until)
        return self._body_is_complete()

    def _begin_body(self, end: int) -> None:
        """Read the length of the body, or that it is chunked, from the head.

        :param end: the offset after the head.
        """
        head = bytes(self.received[:end])
        length = 0
        if _CHUNKED.search(head):
            self._chunks = ChunkScanner(end)
        elif found := _LENGTH.search(head):
            length = int(found[1])
        self._needed = end + (length if length <= LONGEST_BODY else 0)
        if not self._body_is_complete() and _EXPECTS.search(head):
            # Gunicorn sends it again when it reads the head; several are allowed (RFC 9110, 15.2).
            self.send_now(_CONTINUE)

    def _body_is_complete(self) -> bool:
        """Whether the body is complete, or so long that the application will reject it."""
        if self._chunks is None:
            return len(self.received) >= self._needed
        return self._chunks.end(self.received) is not None and self._chunks.count <= MOST_CHUNKS

    def send_now(self, content: bytes) -> None:
        """Send a few bytes if that is possible without blocking."""
        with contextlib.suppress(OSError):
            self.sock.send(content)

    def init(self) -> None:
        """Pass the buffered data to gunicorn's parser. A thread calls this before each request.

        The parser reads it from the socket in small pieces, because it copies its whole buffer for each chunk.
        """
        self.sock.read_until = time.monotonic() + THREAD_READ_SECONDS
        self.sock.path = refusals.path(self.received)
        super().init()
        self.sock.gathered, self.sock.taken, self.received = bytes(self.received), 0, bytearray()

    def unread_rest(self) -> None:
        """Put data after a request back into gunicorn's buffer for the next one."""
        unreader = self.parser.unreader
        unreader.unread(unreader.take_buffered() + self.sock.rest())

    def close(self, graceful: bool = False) -> None:
        """Close it; gracefully, so that a client that is still sending can read its response (RFC 9112, 9.6)."""
        if graceful:
            self._leave(self.sock)
        else:
            self.sock.close()
