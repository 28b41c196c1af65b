"""How gunicorn serves the console."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from console.environment import BASE_DIR, Environment


def command(
    environment: Environment,
    application: str = "console.wsgi:application",
    variables: Mapping[str, str] = os.environ,
) -> list[str]:
    """The command that serves ``application`` at the console's address.

    :param variables: ``WEB_WORKERS`` and ``WEB_THREADS`` of the environment: processes, and threads in each.
    """
    memory = Path("/dev/shm")  # noqa: S108  # nosec B108
    options = {
        "--bind": f"{environment.console_host}:{environment.console_port}",
        "--worker-class": "console.local.web_worker.WebWorker",
        "--workers": variables.get("WEB_WORKERS") or "2",
        "--threads": variables.get("WEB_THREADS") or "8",
        "--timeout": "60",
        "--graceful-timeout": "3",
        "--keep-alive": "5",
        "--limit-request-line": "8190",
        "--limit-request-fields": "100",
        "--limit-request-field_size": "8190",
        # A process may usually have 1,024 files open: some are left for the database and for answers.
        "--worker-connections": "800",
        "--forwarded-allow-ips": ",".join(environment.trusted_proxies),
        # No header may say under which path the site lies.
        "--forwarder-headers": "",
        "--log-level": "warning",
        "--chdir": str(BASE_DIR),
    }
    if memory.is_dir() and os.access(memory, os.W_OK):
        options["--worker-tmp-dir"] = str(memory)
    flags = [part for option in options.items() for part in option]
    return [sys.executable, "-m", "gunicorn", "--no-control-socket", *flags, application]
