"""How a process of gunicorn takes connections: without lending them a thread, and fairly among the processes.

Gunicorn's own threaded worker gives each new connection a thread, which waits up to five seconds for the first request.
Browsers open connections that they may need later, and whoever opens sixteen of them would hold up everybody.
"""

from __future__ import annotations

import mmap
import select
import socket
import struct
import time
from functools import partial

from gunicorn.workers.gthread import TConn, ThreadWorker

# Shared by all processes, which are forked after this module is read: how many connections each of them has.
_SLOTS = 64
_COUNT = struct.Struct("=q")
_counts = mmap.mmap(-1, _SLOTS * _COUNT.size)
_NOBODY = -1
for _slot in range(_SLOTS):
    _COUNT.pack_into(_counts, _slot * _COUNT.size, _NOBODY)

# So long, in seconds, a process with more connections leaves a new one to the others. They need not take it.
_COURTESY = 0.001


class WebWorker(ThreadWorker):
    """Gunicorn's threaded worker, but for how it takes connections."""

    def init_process(self) -> None:
        """Begin with no connection."""
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
        self.nr_conns += 1
        connection = TConn(self.cfg, client, address, listener.getsockname())
        if _readable(client):
            connection.data_ready = True
            self.enqueue_req(connection)
        else:
            connection.set_timeout()
            self.pending_conns.append(connection)
            self.poller.register(client, select.POLLIN, partial(self.on_pending_socket_readable, connection))

    def notify(self) -> None:
        """Say that this process is alive, and how many connections it has: once in each round of its loop."""
        self._publish()
        super().notify()

    def _publish(self) -> None:
        _COUNT.pack_into(_counts, self._slot * _COUNT.size, self.nr_conns)

    def _has_more_than_another(self) -> bool:
        self._publish()
        return bool(self.nr_conns > min(count for (count,) in _COUNT.iter_unpack(_counts) if count != _NOBODY))


def _readable(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
