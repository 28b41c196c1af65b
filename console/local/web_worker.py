"""Gunicorn worker that assigns threads only to complete requests, against slow clients (Slowloris).

Gunicorn's own threaded worker gives each new connection a thread, which waits up to five seconds for the first request,
and then without timeout for the rest of it. Browsers open spare connections, and a client with sixteen open
connections, or sixteen incomplete requests, would block everybody. So a request gets a thread when it is complete
(``console.local.request_buffer``). Connections are balanced among processes.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import selectors
import socket
import struct
import time
from functools import partial
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from console.audit import shutdown
from console.local import refusals
from console.local.request_buffer import Connection, State

# Shared memory of all processes, which are forked after this module is imported: the connection count of each.
_SLOTS = 64
_COUNT = struct.Struct("=q")
_counts = mmap.mmap(-1, _SLOTS * _COUNT.size)
_UNUSED = -1
for _slot in range(_SLOTS):
    _COUNT.pack_into(_counts, _slot * _COUNT.size, _UNUSED)

# How long, in seconds, a process with more connections lets the others accept a new one first.
_COURTESY = 0.001
# Limit of incomplete requests in a process, in bytes. Above it the oldest one is dropped.
_MOST_HELD = 64 * 1024 * 1024
# Seconds between two checks for slow connections; how long, and how many bytes, a client may still send after the
# response; and how long a thread waits for the rest of a body that the application did not read.
_CHECK_SECONDS = 0.5
_LEAVE_SECONDS, _LEAVE_BYTES = 2.0, 16 * 1024 * 1024
_DRAIN_SECONDS = 0.1
_REFUSALS = {
    State.LINE_TOO_LONG: refusals.LINE_TOO_LONG,
    State.HEAD_TOO_LONG: refusals.HEAD_TOO_LONG,
    State.BODY_TOO_LONG: refusals.BODY_TOO_LONG,
    State.TOO_MANY_CHUNKS: refusals.TOO_MANY_CHUNKS,
}


class WebWorker(ThreadWorker):  # type: ignore[misc]
    """Gunicorn's threaded worker with buffered requests and balanced connections."""

    def init_process(self) -> None:
        """Initialise the process without connections."""
        # Connections with an incomplete request, oldest first.
        self._arriving: dict[Connection, None] = {}
        self._held = 0
        # Answered connections that are being closed: the time limit, and the remaining bytes.
        self._leaving: dict[socket.socket, tuple[float, int]] = {}
        self._next_check = 0.0
        # The number grows with every restart. The last count of a dead process stays, which delays each connection by
        # a millisecond until its slot is reused.
        self._slot = self.age % _SLOTS
        self._publish()
        super().init_process()

    def accept(self, listener: socket.socket) -> None:
        """Accept a new connection, and wait for its request in the event loop."""
        if self._has_more_than_another():
            # All processes are woken by a new connection, and the fastest would accept nearly all of a burst.
            time.sleep(_COURTESY)
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as problem:
            if problem.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
            self._make_room()
            time.sleep(_COURTESY)
            return
        self.nr_conns += 1
        self.enqueue_req(Connection(self.cfg, client, address, listener.getsockname(), self._leave))
        if self.nr_conns >= self.worker_connections:
            self._make_room()

    def enqueue_req(self, conn: Connection) -> None:
        """Wait for a connection's next request, and assign a thread when it is complete."""
        conn.begin()
        self._take(conn)

    def _on_piece(self, conn: Connection, _client: Any) -> None:
        # It may have been dropped since the event, to make room for another.
        if conn in self._arriving:
            self._take(conn)

    def _take(self, conn: Connection) -> None:
        """Receive available bytes of a request."""
        waited = conn in self._arriving
        before = len(conn.received) if waited else 0
        state = conn.gather()
        if state is State.WAITING:
            self._held += len(conn.received) - before
            if not waited:
                self._arriving[conn] = None
                self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_piece, conn))
            while self._held > _MOST_HELD and self._arriving:
                self._make_room()
            return
        if waited:
            self._forget(conn, before)
        if state is State.COMPLETE:
            conn.data_ready = True
            super().enqueue_req(conn)
            return
        self.nr_conns -= 1
        refusal = _REFUSALS.get(state)
        if refusal:
            conn.send_now(refusals.answer(*refusal, refusals.path(conn.received)))
        conn.close(graceful=bool(refusal))

    def _forget(self, conn: Connection, held: int) -> None:
        del self._arriving[conn]
        self._held -= held
        self.poller.unregister(conn.sock)

    def _give_up(self, conn: Connection) -> None:
        """Close a connection whose request is not completed in time."""
        self._forget(conn, len(conn.received))
        self.nr_conns -= 1
        if conn.received:
            conn.send_now(refusals.answer(*refusals.TOO_SLOW, refusals.path(conn.received)))
        conn.close(graceful=bool(conn.received))

    def _make_room(self) -> None:
        """Drop the oldest incomplete request, if any: honest clients send a request at once."""
        if self._arriving:
            self._give_up(next(iter(self._arriving)))

    def murder_pending(self) -> None:
        """Close connections that are too slow. Called in each round of the loop, at least once a second."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + _CHECK_SECONDS
        for conn in [conn for conn in self._arriving if conn.until <= now]:
            self._give_up(conn)
        for client in [client for client, (until, _bytes) in self._leaving.items() if until <= now]:
            self._let_go(client)

    def _leave(self, client: socket.socket) -> None:
        """Close a connection after its response, without blocking the loop as gunicorn's own does."""
        try:
            client.setblocking(False)
            client.shutdown(socket.SHUT_WR)
            self.poller.register(client, selectors.EVENT_READ, self._drain)
        except OSError:
            client.close()
            return
        self._leaving[client] = time.monotonic() + _LEAVE_SECONDS, _LEAVE_BYTES

    def _drain(self, client: socket.socket) -> None:
        """Discard data that is sent after the response."""
        until, left = self._leaving[client]
        try:
            piece = client.recv(65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            piece = b""
        if piece and left > len(piece):
            self._leaving[client] = until, left - len(piece)
        else:
            self._let_go(client)

    def _let_go(self, client: socket.socket) -> None:
        del self._leaving[client]
        self.poller.unregister(client)
        client.close()

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        """Whether to keep the connection alive: not if much of this request's body is still to come."""
        if not keepalive or not conn.parser.finish_body(deadline=time.monotonic() + _DRAIN_SECONDS):
            return False
        conn.unread_rest()
        return True

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer a request that gunicorn's parser rejects, in the format for its path.

        Only the kind of the problem is logged, no part of the request, which may contain a secret.
        """
        refusal = refusals.of(exc)
        if refusal is None:
            super().handle_error(req, client, addr, exc)
            return
        self.log.warning("Invalid request from ip=%s: %s", addr[0] if addr else "", type(exc).__name__)
        with contextlib.suppress(OSError):
            client.sendall(refusals.answer(*refusal, getattr(client, "path", "")))

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Start a graceful stop. Sets the shutdown flag first, because the process may be killed after the timeout."""
        shutdown.over.set()
        super().handle_exit(sig, frame)

    def notify(self) -> None:
        """Heartbeat: report that this process is alive, and its connection count, in each round of the loop."""
        self._publish()
        super().notify()

    def _publish(self) -> None:
        _COUNT.pack_into(_counts, self._slot * _COUNT.size, self.nr_conns)

    def _has_more_than_another(self) -> bool:
        self._publish()
        return bool(self.nr_conns > min(count for (count,) in _COUNT.iter_unpack(_counts) if count != _UNUSED))
