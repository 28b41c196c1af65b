"""Environment variables of the tests: a separate data folder and free ports.

Loaded by pytest before Django is set up (``-p tests.support.environment``), because the settings read the environment.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests.support.ports import free_port

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
# No rate limit of changes: tests send many, and check which tables a request writes. Tests of the limit set their own.
os.environ["CHANGES_PER_MINUTE"] = "0"
os.environ["DOCKERHUB_PORT"] = str(free_port())
# No test needs the Internet: nothing listens here unless a test starts a server.
os.environ["DOCKERHUB_UPSTREAM"] = f"http://127.0.0.1:{free_port()}"
os.environ["DOCKERHUB_API"] = f"http://127.0.0.1:{free_port()}"

from console.installation import environment  # noqa: E402

ENVIRONMENT = environment.load()


def remove_folder() -> None:
    """Remove the data folder."""
    shutil.rmtree(FOLDER, ignore_errors=True)


atexit.register(remove_folder)
