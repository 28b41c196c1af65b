"""Server hooks of gunicorn: a socket for each process, and the shutdown flag (``gunicorn --config``)."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from console.audit import shutdown


def pre_fork(server: Any, worker: Any) -> None:
    """Choose the socket of a new process: the first that no other process has.

    With one socket for all, the process that happens to be faster takes most connections, and the edge keeps them. With
    one for each, the edge sends a request to the process with the fewest (``least_conn``).
    """
    used = {other.socket_number for other in server.WORKERS.values()}
    number = next(number for number in range(len(used) + 1) if number not in used)
    worker.socket_number = number % len(worker.sockets)


def post_fork(server: Any, worker: Any) -> None:
    """Listen at the chosen socket alone. The others stay open in this process, but are not read."""
    worker.sockets = [worker.sockets[worker.socket_number]]


def post_worker_init(worker: Any) -> None:
    """Set the shutdown flag on SIGTERM, before gunicorn's own handler: the process may be killed after the timeout."""
    graceful = signal.getsignal(signal.SIGTERM)

    def on_signal(number: int, frame: FrameType | None) -> None:
        shutdown.over.set()
        if callable(graceful):
            graceful(number, frame)

    signal.signal(signal.SIGTERM, on_signal)
