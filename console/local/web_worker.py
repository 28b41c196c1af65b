"""Gunicorn worker that accepts connections without lending them a thread, fairly among processes.

Gunicorn's own threaded worker gives each new connection a thread, which waits up to five seconds for the first request,
and then without end for the rest of it. Browsers open connections that they may need later, and whoever opens sixteen
of them, or sends sixteen halves of a request, would hold up everybody. So a thread is given to a request that is whole
(``console.local.request_buffer``).
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

# Shared by all processes, which are forked after this module is read: how many connections each of them has.
_SLOTS = 64
_COUNT = struct.Struct("=q")
_counts = mmap.mmap(-1, _SLOTS * _COUNT.size)
_NOBODY = -1
for _slot in range(_SLOTS):
    _COUNT.pack_into(_counts, _slot * _COUNT.size, _NOBODY)

# So long, in seconds, a process with more connections leaves a new one to the others. They need not take it.
_COURTESY = 0.001
# Bytes of unfinished requests that a process keeps. Beyond that the one that has taken longest is given up.
_MOST_HELD = 64 * 1024 * 1024
# Seconds between two looks at who is too slow; how long, and for how many bytes, one who has been answered may go on
# sending; and how long a thread waits for what is left of a body that the application did not want.
_LOOK_SECONDS = 0.5
_LEAVE_SECONDS, _LEAVE_BYTES = 2.0, 16 * 1024 * 1024
_DRAIN_SECONDS = 0.1
_REFUSALS = {
    State.LINE_TOO_LONG: refusals.LINE_TOO_LONG,
    State.HEAD_TOO_LONG: refusals.HEAD_TOO_LONG,
    State.BODY_TOO_LONG: refusals.BODY_TOO_LONG,
    State.TOO_MANY_CHUNKS: refusals.TOO_MANY_CHUNKS,
}


class WebWorker(ThreadWorker):  # type: ignore[misc]
    """Gunicorn's threaded worker, but for how it takes connections and requests."""

    def init_process(self) -> None:
        """Begin with no connection."""
        # In the order in which their requests began to be waited for.
        self._arriving: dict[Connection, None] = {}
        self._held = 0
        # When, and after how many bytes, those go who have been answered.
        self._leaving: dict[socket.socket, tuple[float, int]] = {}
        self._next_look = 0.0
        # Numbers grow with every restart. Of a process that died the last count stays, which costs the others a
        # millisecond for each connection until its slot is used again.
        self._slot = self.age % _SLOTS
        self._publish()
        super().init_process()

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection, and wait for its first request together with all others, as for any later one."""
        if self._has_more_than_another():
            # All processes are told of a new connection at once, and the quickest would have nearly all of a burst.
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
        """Wait for a connection's next request, and give it a thread when it is whole."""
        conn.begin()
        self._take(conn)

    def _on_piece(self, conn: Connection, _client: Any) -> None:
        # It may have been given up since the loop was told, for another one's sake.
        if conn in self._arriving:
            self._take(conn)

    def _take(self, conn: Connection) -> None:
        """Take what has come of a request."""
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
        if state is State.WHOLE:
            conn.data_ready = True
            super().enqueue_req(conn)
            return
        self.nr_conns -= 1
        refusal = _REFUSALS.get(state)
        if refusal:
            conn.say(refusals.answer(*refusal, refusals.path(conn.received)))
        conn.close(graceful=bool(refusal))

    def _forget(self, conn: Connection, held: int) -> None:
        del self._arriving[conn]
        self._held -= held
        self.poller.unregister(conn.sock)

    def _give_up(self, conn: Connection) -> None:
        """End a connection whose request does not come."""
        self._forget(conn, len(conn.received))
        self.nr_conns -= 1
        if conn.received:
            conn.say(refusals.answer(*refusals.TOO_SLOW, refusals.path(conn.received)))
        conn.close(graceful=bool(conn.received))

    def _make_room(self) -> None:
        """Give up whoever has been waited for longest, if anybody: who means it has sent a request at once."""
        if self._arriving:
            self._give_up(next(iter(self._arriving)))

    def murder_pending(self) -> None:
        """End the connections that are too slow. Called in each round of the loop, at least once a second."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        for conn in [conn for conn in self._arriving if conn.until <= now]:
            self._give_up(conn)
        for client in [client for client, (until, _bytes) in self._leaving.items() if until <= now]:
            self._let_go(client)

    def _leave(self, client: socket.socket) -> None:
        """Close a connection after its answer. Gunicorn's own loop would wait for the client meanwhile."""
        try:
            client.setblocking(False)
            client.shutdown(socket.SHUT_WR)
            self.poller.register(client, selectors.EVENT_READ, self._drain)
        except OSError:
            client.close()
            return
        self._leaving[client] = time.monotonic() + _LEAVE_SECONDS, _LEAVE_BYTES

    def _drain(self, client: socket.socket) -> None:
        """Throw away what is sent by somebody who has been answered."""
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
        """Whether the connection stays for another request: unless much of this one's body is yet to come."""
        if not keepalive or not conn.parser.finish_body(deadline=time.monotonic() + _DRAIN_SECONDS):
            return False
        conn.keep_rest()
        return True

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer a request that gunicorn's parser cannot read, in the format that its address has.

        The log has the kind of the problem and no part of the request, which may hold a secret.
        """
        refusal = refusals.of(exc)
        if refusal is None:
            super().handle_error(req, client, addr, exc)
            return
        self.log.warning("Invalid request from ip=%s: %s", addr[0] if addr else "", type(exc).__name__)
        with contextlib.suppress(OSError):
            client.sendall(refusals.answer(*refusal, getattr(client, "path", "")))

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to end. What must be kept is written at once: who is killed after the grace period writes nothing."""
        shutdown.over.set()
        super().handle_exit(sig, frame)

    def notify(self) -> None:
        """Say that this process is alive, and how many connections it has: once in each round of its loop."""
        self._publish()
        super().notify()

    def _publish(self) -> None:
        _COUNT.pack_into(_counts, self._slot * _COUNT.size, self.nr_conns)

    def _has_more_than_another(self) -> bool:
        self._publish()
        return bool(self.nr_conns > min(count for (count,) in _COUNT.iter_unpack(_counts) if count != _NOBODY))
