"""Command line of gunicorn, which serves the console behind the edge with its own threaded worker."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from console.installation.environment import BASE_DIR, Environment
from console.local import sockets

# Seconds that gunicorn keeps an idle connection: longer than the edge (``edge_configuration``), which must be the one
# that closes it. Otherwise a request could meet a connection that is just being closed.
KEEP_ALIVE_SECONDS = 75


def command(environment: Environment, application: str = "console.wsgi:application") -> list[str]:
    """The command that serves ``application`` at the sockets of ``sockets.console``, one for each process.

    A request comes whole: the edge buffers it, and bounds its size and its time (``edge_configuration``).
    """
    memory = Path("/dev/shm")  # noqa: S108  # nosec B108
    options = {
        "--config": "python:console.local.gunicorn_hooks",
        "--worker-class": "gthread",
        "--workers": str(environment.web_workers),
        "--threads": str(environment.web_threads),
        "--timeout": "60",
        "--graceful-timeout": "3",
        "--keep-alive": str(KEEP_ALIVE_SECONDS),
        # gunicorn's limit cannot be above 8,190, so it is off: the edge has one.
        "--limit-request-line": "0",
        "--limit-request-fields": "100",
        # A token for a hundred repositories; the edge bounds the whole head.
        "--limit-request-field_size": "61440",
        "--umask": "0o077",
        # No header may set SCRIPT_NAME.
        "--forwarder-headers": "",
        "--log-level": "warning",
        "--chdir": str(BASE_DIR),
    }
    if memory.is_dir() and os.access(memory, os.W_OK):
        options["--worker-tmp-dir"] = str(memory)
    flags = [part for option in options.items() for part in option]
    for path in sockets.console(environment):
        flags += ["--bind", f"unix:{path}"]
    return [sys.executable, "-m", "gunicorn", "--no-control-socket", *flags, application]
