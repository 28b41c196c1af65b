"""The whole product as a subprocess, started like ``make run``."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg
import pytest
from django.apps import apps

from console.installation.environment import BASE_DIR, socket_dir
from tests.support import prepared_database
from tests.support.environment import FOLDER
from tests.support.ports import free_port

START_SECONDS = 90
PEOPLE = """
from console.accounts.services import create_account
print(*(create_account("Somebody", None, {password!r}).account_id for _ in range(16)))
"""


def wait_until(condition, what, seconds=30.0):
    """Poll until ``condition()`` is true, and return its value. Fails with ``what`` on timeout."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


def processes_with(text: str) -> list[str]:
    """Command lines of the running processes with ``text`` in their environment or arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                variables = (entry / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if text in command or f"DATA_DIR={text}" in variables:
                found.append(f"{entry.name} {command}")
    return found


class Stack:
    """An installation with its own data folder and ports."""

    def __init__(self, registry_program: Path | None = None, data_dir: Path | None = None, **variables: str) -> None:
        self.data_dir = data_dir or Path(tempfile.mkdtemp(prefix="my-images-stack-"))
        self.data_dir.mkdir(exist_ok=True)
        if not (self.data_dir / "static").exists():
            self._borrow_static_files()
        if apps.ready and not (self.data_dir / "postgres").exists():
            # Migrating an empty database is most of what is left of a first start. Those of benchmarks are real.
            prepared_database.copy_to(self.data_dir / "postgres")
        self.console_port, self.registry_port, self.dockerhub_port = free_port(), free_port(), free_port()
        self.console_url = f"http://127.0.0.1:{self.console_port}"
        self.registry_address = f"127.0.0.1:{self.registry_port}"
        self.dockerhub_address = f"127.0.0.1:{self.dockerhub_port}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("REGISTRY_", "DJANGO_"))}
        path = inherited["PATH"]
        if registry_program is not None:
            path = f"{registry_program.parent}{os.pathsep}{path}"
        self.environment = {
            **inherited,
            "PATH": path,
            "DATA_DIR": str(self.data_dir),
            "CONSOLE_PORT": str(self.console_port),
            "REGISTRY_PORT": str(self.registry_port),
            "DOCKERHUB_PORT": str(self.dockerhub_port),
            # Commits must survive a killed server, but not a power failure.
            "POSTGRES_OPTIONS": "fsync=off",
            **variables,
        }
        self.process: subprocess.Popen | None = None
        self.account_id = self.password = ""
        self._ready: dict[str, list[str]] = {}
        self._lines: list[str] = []
        self._reader: threading.Thread | None = None

    def _borrow_static_files(self) -> None:
        """Copy the static files that this process's tests have collected, if any: they are most of a first start."""
        note = FOLDER / "static.collected"
        if note.exists():
            shutil.copytree(FOLDER / "static", self.data_dir / "static", copy_function=os.link)
            shutil.copy(note, self.data_dir / note.name)

    def borrow_nothing(self) -> None:
        """Make the first start collect the static files and create the database, as on a new machine."""
        self.borrow_no_database()
        shutil.rmtree(self.data_dir / "static", ignore_errors=True)
        (self.data_dir / "static.collected").unlink(missing_ok=True)

    def borrow_no_database(self) -> None:
        """Make the first start create the database, if it has one of its own."""
        shutil.rmtree(self.data_dir / "postgres", ignore_errors=True)

    def launch(self, *arguments: str) -> None:
        """Start it without waiting."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "console.local", *arguments],
            cwd=BASE_DIR,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._lines = []
        self._reader = threading.Thread(target=self._read, args=(self.process, self._lines), daemon=True)
        self._reader.start()

    @staticmethod
    def _read(process, lines) -> None:
        for raw in process.stdout:
            lines.append(raw.decode(errors="replace").rstrip("\n"))

    def start(self) -> None:
        """Start it and wait until it logs that it is ready."""
        self.launch()
        self.wait_for_line(f"My Images is ready at {self.console_url}")
        log = self.log()
        if found := re.search(r"^Account ID: (\d+)$", log, re.MULTILINE):
            self.account_id = found[1]
            self.password = re.search(r"^Password: (\S+)$", log, re.MULTILINE)[1]

    def wait_for_line(self, text: str, seconds: float = START_SECONDS) -> str:
        """Wait for a log line with ``text``; returns the line."""

        def look():
            for line in list(self._lines):
                if text in line:
                    return line
            assert self.process.poll() is None or self._reader.is_alive(), f"it ended:\n{self.log()}"
            return ""

        try:
            return wait_until(look, text, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None

    def log(self) -> str:
        """Its output so far."""
        return "\n".join(list(self._lines))

    def manage(self, *arguments: str, input: str = "") -> str:
        """Run a management command; returns its output."""
        result = subprocess.run(
            [sys.executable, str(BASE_DIR / "manage.py"), *arguments],
            env=self.environment,
            input=input,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def sql(self, query: str, *parameters: object) -> list[tuple]:
        """Query its database directly; no rows if it is not available."""
        try:
            with psycopg.connect(
                host=str(socket_dir(self.data_dir.resolve())), dbname="my_images", user="postgres", connect_timeout=2
            ) as connection:
                return connection.execute(query, parameters).fetchall()
        except psycopg.OperationalError:
            return []

    def create_account(self, name: str, password: str, email: str = "") -> str:
        """Create an account; returns its Account ID."""
        out = self.manage("createaccount", "--name", name, "--email", email, "--password-stdin", input=password)
        return out.strip().removeprefix("Account ID: ")

    def somebody(self, name: str, password: str) -> str:
        """The Account ID of a new account. Created in batches: each start of Django takes a second or two."""
        ready = self._ready.setdefault(password, [])
        if not ready:
            ready.extend(self.manage("shell", "-v0", "-c", PEOPLE.format(password=password)).split())
        account_id = ready.pop()
        self.sql("UPDATE accounts_account SET name = %s WHERE account_id = %s RETURNING id", name, account_id)
        return account_id

    def pid_of(self, name: str) -> int:
        """Wait for a child, which may be restarting; returns its PID."""

        return wait_until(lambda: self.children().get(name), f"there is a {name}", 30)

    def children(self) -> dict[str, int]:
        """The names and PIDs of the running children."""
        return {row["name"]: row["pid"] for row in json.loads((self.data_dir / "run" / "children.json").read_text())}

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send the supervisor a signal."""
        self.process.send_signal(number)

    def wait(self, seconds: float = 20) -> int:
        """Wait until it has exited; returns its exit code."""
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def stop(self) -> None:
        """Stop it, check that no process is left, and remove its data."""
        try:
            if self.process is not None and self.process.poll() is None:
                self.signal()
                self.wait()
            wait_until(lambda: not processes_with(str(self.data_dir)), f"no process left over {self.data_dir}", 10)
        finally:
            shutil.rmtree(self.data_dir, ignore_errors=True)


# The product that tests of this process share, and the tests after the last one that needs it.
_shared: list[Stack] = []
_after_the_last: set[str] = set()


@pytest.fixture(scope="session")
def stack(static_files, registry_program):
    """The whole product, started like ``make run``."""
    started = Stack(registry_program)
    try:
        started.start()
        _shared.append(started)
        yield started
    finally:
        _shared.clear()
        started.stop()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Find the tests after the last one that needs the shared product: files that need it come early."""
    last = max((at for at, item in enumerate(items) if "stack" in item.fixturenames), default=-1)
    _after_the_last.update(item.nodeid for item in items[last + 1 :])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Stop the shared product when no other test needs it: idle, it takes a tenth of a processor."""
    for shared in _shared:
        running = shared.process.poll() is None
        if running and item.nodeid in _after_the_last:
            shared.signal()
            shared.wait()
        elif not running and "stack" in item.fixturenames:
            shared.start()
