"""Whether the ports we need are free."""

from __future__ import annotations

import errno
import socket

from console.local.problems import Problem


def check(host: str, port: int, variable: str, what: str) -> None:
    """Try to bind ``port``.

    :param variable: what to set for another port.
    :param what: what wants to listen there.
    :raises Problem: when somebody else listens there, or we may not.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Problem(
                    f"Port {port} on {host} is taken, and {what} needs it: "
                    f"set {variable} to a free port, or stop what listens there ('ss -ltnp sport = :{port}' shows it)."
                ) from None
            raise Problem(f"Port {port} on {host} cannot be used for {what}: {error.strerror}.") from None


def free() -> int:
    """A port of the loopback address that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
