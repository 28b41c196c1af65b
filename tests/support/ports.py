"""Ports for what tests start."""

from __future__ import annotations

import socket
import sys

from console.local import ports

_reservations: list[socket.socket] = []


def free_port() -> int:
    """A port of the loopback address that nobody listens on, and that no other process of the tests is given."""
    for port in ports.candidates():
        # A name that no file is made for, and that is free again when this process ends.
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
