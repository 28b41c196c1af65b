"""Free ports for servers of tests."""

from __future__ import annotations

import socket
import sys

from console.local import ports

_reservations: list[socket.socket] = []


def free_port() -> int:
    """A free port of the loopback address that no other test process gets."""
    for port in ports.candidates():
        # An abstract socket name: needs no file, and is released when this process exits.
        reservation = socket.socket(socket.AF_UNIX)
        try:
            if sys.platform == "linux":
                reservation.bind(f"\0my-images-tests-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            continue
        _reservations.append(reservation)
        return port
    raise RuntimeError("There is no free port.")
