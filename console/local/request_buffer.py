"""Request buffering for gunicorn: no thread waits while a request arrives.

A thread that reads from a client waits for that client alone, so that sixteen who send half a request each would hold
up everybody. Here the process's one loop gathers what has come of all requests, and gives a thread to what is whole.

What a request says is read by gunicorn's parser and by nobody else. Here one only guesses where it ends, and whoever
misleads the guess gets a thread that waits some seconds for the rest.
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

# Seconds. A request's head has to be there so long after its first byte ...
HEAD_SECONDS = 10.0
# ... and of its body something new so long after the last piece, and all of it so long after the head.
PIECE_SECONDS, BODY_SECONDS = 10.0, 60.0
# What a thread waits for: all of a body that was not gathered, and a client that takes its answer.
THREAD_READ_SECONDS, THREAD_WRITE_SECONDS = 10.0, 30.0
# Bytes. Browsers send some 2 KB of head. Longer bodies are the application's to refuse, which it does unread.
LONGEST_HEAD, LONGEST_BODY = 64 * 1024, 2 * 1024 * 1024
# Bytes of a chunked body with its framing, and chunks: each costs the HTTP parser some microseconds. Clients send a
# form in one chunk, other bodies in chunks of 4 KB and more. More than that never gets to the application.
LONGEST_CHUNKED, MOST_CHUNKS = LONGEST_BODY + 128 * 1024, 10_000
# Bytes of the request line. The hundred scopes that the token endpoint takes at once, with the longest names and all
# three actions, are 29,000; gunicorn's own limit cannot be set above 8,190.
LONGEST_LINE = 32 * 1024

_PIECE = 64 * 1024
_END_OF_HEAD = re.compile(rb"[^\r\n]\r?\n\r?\n")
_LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]{1,15})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:[^\r\n]*\bchunked[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_EXPECTS = re.compile(rb"^expect:[ \t]*100-continue[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class State(Enum):
    """What has come of a request. ``GONE``: the client has hung up."""

    WAITING, WHOLE, LINE_TOO_LONG, HEAD_TOO_LONG, BODY_TOO_LONG, TOO_MANY_CHUNKS, GONE = range(7)


class PatientSocket(socket.socket):
    """A client's socket, on which no thread waits without end. Who is too slow counts as somebody who went away.

    ``read_until``: the moment (of the monotonic clock) at which a thread stops reading the present request.
    ``path``: what the present request asks for, as ``refusals.path`` has it.
    ``gathered``: what the loop has received already; threads read it first, from ``taken`` on.
    """

    read_until = 0.0
    path = ""
    gathered, taken = b"", 0

    def setblocking(self, flag: bool) -> None:
        """Wait for the client, though not for ever; or not at all."""
        self.settimeout(THREAD_WRITE_SECONDS if flag else 0.0)

    def recv(self, *arguments: Any) -> bytes:
        """See ``socket.recv``. :raises ConnectionResetError: when nothing came in time."""
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
        """Take what was gathered and is not read."""
        rest, self.gathered, self.taken = self.gathered[self.taken :], b"", 0
        return rest

    def sendall(self, *arguments: Any) -> None:
        """See ``socket.sendall``. :raises ConnectionResetError: when not everything was taken in time."""
        try:
            super().sendall(*arguments)
        except TimeoutError:
            raise _gone() from None

    def sendfile(self, *arguments: Any, **named: Any) -> int:
        """See ``socket.sendfile``. :raises ConnectionResetError: when nothing was taken in time."""
        try:
            return super().sendfile(*arguments, **named)
        except TimeoutError:
            raise _gone() from None


def _gone() -> ConnectionResetError:
    # Gunicorn tells of any other error with a trace of its calls.
    return ConnectionResetError(errno.ECONNRESET, "the client is too slow")


class Connection(TConn):  # type: ignore[misc]
    """A client's connection, with what has come of its next request.

    ``until`` is the moment (of the monotonic clock) at which the loop need not wait for it any longer.
    """

    def __init__(
        self, cfg: Any, client: socket.socket, address: Any, server: Any, leave: Callable[[socket.socket], None]
    ) -> None:
        own = PatientSocket(client.family, client.type, client.proto, fileno=client.detach())
        super().__init__(cfg, own, address, server)
        self.received = bytearray()
        self.until = 0.0
        self._leave = leave
        self._needed = self._searched = 0
        self._chunks: ChunkScanner | None = None
        self._all_until = 0.0

    def begin(self) -> None:
        """Wait for the next request, a piece of which the last one's reader may have found behind it."""
        self.sock.setblocking(False)
        self.until, self._needed, self._searched = time.monotonic() + self.cfg.keepalive, 0, 0
        self._chunks, self._all_until = None, 0.0
        if self.initialized:
            self.received += self.parser.unreader.take_buffered()

    def gather(self) -> State:
        """Take what has come, if anything has, without waiting for it."""
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
            # An empty line may stand before it (RFC 9112, 2.2).
            line_end = self.received.find(b"\n", 2)
            if (line_end if line_end >= 0 else len(self.received)) > LONGEST_LINE:
                return State.LINE_TOO_LONG
        if self._whole():
            return State.WHOLE
        if self._chunks is not None and self._chunks.count > MOST_CHUNKS:
            return State.TOO_MANY_CHUNKS
        if self._chunks is not None and len(self.received) - self._needed > LONGEST_CHUNKED:
            return State.BODY_TOO_LONG
        return State.HEAD_TOO_LONG if not self._needed and len(self.received) > LONGEST_HEAD else State.WAITING

    def _whole(self) -> bool:
        now = time.monotonic()
        if not self._needed:
            found = _END_OF_HEAD.search(self.received, self._searched)
            if found is None:
                # The end may be in pieces too.
                self._searched = max(0, len(self.received) - 4)
                self._all_until = self._all_until or now + HEAD_SECONDS
                self.until = self._all_until
                return False
            self._begin_body(found.end())
            self._all_until = now + BODY_SECONDS
        self.until = min(now + PIECE_SECONDS, self._all_until)
        return self._body_is_whole()

    def _begin_body(self, end: int) -> None:
        """Find out how long the body is, or that it comes in chunks.

        :param end: where the head ends.
        """
        head = bytes(self.received[:end])
        length = 0
        if _CHUNKED.search(head):
            self._chunks = ChunkScanner(end)
        elif found := _LENGTH.search(head):
            length = int(found[1])
        self._needed = end + (length if length <= LONGEST_BODY else 0)
        if not self._body_is_whole() and _EXPECTS.search(head):
            # Gunicorn says so again when it reads the head: there may be several (RFC 9110, 15.2).
            self.say(_CONTINUE)

    def _body_is_whole(self) -> bool:
        """Whether the body has come, unless it is so long that the application will refuse it."""
        if self._chunks is None:
            return len(self.received) >= self._needed
        return self._chunks.end(self.received) is not None and self._chunks.count <= MOST_CHUNKS

    def say(self, words: bytes) -> None:
        """Send a few words if the client takes them at once."""
        with contextlib.suppress(OSError):
            self.sock.send(words)

    def init(self) -> None:
        """Give gunicorn's parser what was gathered. A thread calls this before each request.

        The parser reads it from the socket, some kilobytes at a time: for each chunk it copies all that it holds.
        """
        self.sock.read_until = time.monotonic() + THREAD_READ_SECONDS
        self.sock.path = refusals.path(self.received)
        super().init()
        self.sock.gathered, self.sock.taken, self.received = bytes(self.received), 0, bytearray()

    def keep_rest(self) -> None:
        """Put what stands behind a request where gunicorn looks for the next one."""
        unreader = self.parser.unreader
        unreader.unread(unreader.take_buffered() + self.sock.rest())

    def close(self, graceful: bool = False) -> None:
        """Close it; gracefully, so that a client that is still sending reads its answer (RFC 9112, 9.6)."""
        if graceful:
            self._leave(self.sock)
        else:
            self.sock.close()
