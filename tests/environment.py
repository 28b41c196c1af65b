"""The world that the tests run in: a data folder, a PostgreSQL and free ports of their own.

Loaded by pytest before Django is set up (``-p tests.environment``), because the settings read the environment.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from tests.ports import free_port

FOLDER = Path(tempfile.mkdtemp(prefix="my-images-tests-"))

for name in (
    "DATABASE_URL",
    "REGISTRY_URL",
    "REGISTRY_ADDRESS",
    "CONSOLE_URL",
    "ADMIN_PASSWORD",
    "ALLOWED_HOSTS",
    "EMAIL_HOST",
    "DOCKERHUB",
    "DOCKERHUB_ADDRESS",
):
    os.environ.pop(name, None)
os.environ["DATA_DIR"] = str(FOLDER)
os.environ["CONSOLE_PORT"] = str(free_port())
os.environ["REGISTRY_PORT"] = str(free_port())
# Tests send more in a minute than people do, and see which tables a request writes; those of the limit set their own.
os.environ["CHANGES_PER_MINUTE"] = "0"
os.environ["DOCKERHUB_PORT"] = str(free_port())
# No test needs the Internet: nobody answers here unless a test starts somebody.
os.environ["DOCKERHUB_UPSTREAM"] = f"http://127.0.0.1:{free_port()}"
os.environ["DOCKERHUB_API"] = f"http://127.0.0.1:{free_port()}"

from console.installation import environment  # noqa: E402
from console.local.postgres import Postgres  # noqa: E402

ENVIRONMENT = environment.load()
# Nothing that a test writes has to survive a power failure.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class _Server:
    def __init__(self) -> None:
        self.process = None

    def start(self) -> None:
        server = Postgres(FOLDER / "postgres", ENVIRONMENT.socket_dir, FAST)
        server.initialise()
        self.process = server.start()
        deadline = time.monotonic() + 60
        while not server.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the tests' PostgreSQL did not start")
            time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)
            self.process = None
        shutil.rmtree(FOLDER, ignore_errors=True)


_server = _Server()


def pytest_configure(config):
    """Start the server unless pytest only wants to say something about itself."""
    if not config.option.help and not getattr(config.option, "version", False):
        _server.start()
        atexit.register(_server.stop)


def pytest_unconfigure(config):
    """Stop the server and remove the folder."""
    _server.stop()
