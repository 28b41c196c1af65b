"""Check that the ports are free."""

from __future__ import annotations

import contextlib
import errno
import random
import socket
from collections.abc import Iterable
from pathlib import Path

from console.local.problems import Problem

# Ports below this one are for root, unless the machine says otherwise (ip(7), ip_unprivileged_port_start).
_UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST, _HIGHEST = 10_000, 30_000


def check(host: str, port: int, variable: str, what: str) -> None:
    """Check that ``port`` is free by binding it.

    :param host: an address; empty for all of this machine.
    :param variable: the environment variable that sets the port.
    :param what: the part that needs the port.
    :raises Problem: when another program listens there, or it is not permitted.
    """
    where = host or "any address"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Problem(
                    f"Port {port} on {where} is taken, and {what} needs it: "
                    f"set {variable} to a free port, or stop what listens there ('ss -ltnp sport = :{port}' shows it)."
                ) from None
            hint = _privileged_hint(port) if error.errno == errno.EACCES else ""
            raise Problem(f"Port {port} on {where} cannot be used for {what}: {error.strerror}.{hint}") from None


def _privileged_hint(port: int) -> str:
    """What an ordinary user can do about a port that is reserved for root."""
    try:
        first = int(_UNPRIVILEGED.read_text())
    except (OSError, ValueError):
        first = 1024
    return (
        f" Ports below {first} are reserved for root; 'sudo sysctl net.ipv4.ip_unprivileged_port_start={port}' opens "
        "them for everybody on this machine."
    )


def free() -> int:
    """A free port of the loopback address.

    It is outside the ephemeral range, so that no connection takes it while the program that listens there restarts.

    :raises Problem: when there is none.
    """
    for port in candidates():
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise Problem("There is no free port on 127.0.0.1.")


def candidates() -> Iterable[int]:
    """Ports outside the ephemeral range, in random order (ip(7), ip_local_port_range)."""
    try:
        first = int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError):
        first = _HIGHEST
    highest = min(max(first, _LOWEST + 1000), _HIGHEST)
    return random.SystemRandom().sample(range(_LOWEST, highest), 1000)
