"""Command line of gunicorn, and the addresses that it listens on."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from console.installation.environment import BASE_DIR, Environment

# With one of these addresses the console is reachable as ``localhost`` by IPv4.
_IPV4_LOOPBACK = {"127.0.0.1", "localhost", "0.0.0.0"}  # noqa: S104  # nosec B104


def hosts(environment: Environment) -> list[str]:
    """The addresses that the console listens on: ``CONSOLE_HOST``, and ``::1`` beside an IPv4 loopback address.

    The token realm is on ``localhost`` (``Environment.token_realm``), where clients send their passwords, and many try
    ``::1`` first (RFC 6724, 6). So the console listens there too, and no other program of this machine can.
    """
    if environment.console_host not in _IPV4_LOOPBACK or not _has_ipv6_loopback():
        return [environment.console_host]
    return [environment.console_host, "::1"]


def _has_ipv6_loopback() -> bool:
    """Whether this machine has the address ``::1``."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def command(environment: Environment, application: str = "console.wsgi:application") -> list[str]:
    """The command that serves ``application`` at the console's addresses."""
    memory = Path("/dev/shm")  # noqa: S108  # nosec B108
    options = {
        "--worker-class": "console.local.web_worker.WebWorker",
        "--workers": str(environment.web_workers),
        "--threads": str(environment.web_threads),
        "--timeout": "60",
        "--graceful-timeout": "3",
        "--keep-alive": "5",
        # gunicorn's limit cannot be above 8,190, so it is off: ``request_buffer.LONGEST_LINE`` is used instead.
        "--limit-request-line": "0",
        "--limit-request-fields": "100",
        "--limit-request-field_size": "8190",
        # The usual limit of open files is 1,024: this leaves some for the database and for responses.
        "--worker-connections": "800",
        "--forwarded-allow-ips": ",".join(environment.trusted_proxies),
        # No header may set SCRIPT_NAME.
        "--forwarder-headers": "",
        "--log-level": "warning",
        "--chdir": str(BASE_DIR),
    }
    if memory.is_dir() and os.access(memory, os.W_OK):
        options["--worker-tmp-dir"] = str(memory)
    flags = [part for option in options.items() for part in option]
    for host in hosts(environment):
        flags += [
            "--bind",
            f"[{host}]:{environment.console_port}" if ":" in host else f"{host}:{environment.console_port}",
        ]
    return [sys.executable, "-m", "gunicorn", "--no-control-socket", *flags, application]
