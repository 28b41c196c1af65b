"""Remove stale lock files of a killed embedded PostgreSQL, when none of its processes is running.

PostgreSQL has three checks (``miscinit.c``, ``CreateLockFile``): the PID in ``postmaster.pid``, the PID in the socket's
``.lock``, and whether a process is attached to the old server's shared memory. PIDs may be reused by another process of
the same user: PostgreSQL then refuses to start while that process lives. So the kernel is asked here: which processes
of PostgreSQL have that data folder as working directory (all server processes do), and whether any listens on the
socket.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from pathlib import Path

from console.local import linux
from console.local.problems import Problem

# Timeout in seconds for a server that is shutting down, and for the remaining processes of a killed one.
WAIT_SECONDS = 10.0
_KILL_SECONDS = 5.0
_POLL_SECONDS = 0.05
# Title prefix of all server processes except the first.
_PART = "postgres: "


def remove_lock_files(data: Path, sockets: Path, wait_seconds: float = WAIT_SECONDS) -> None:
    """Remove the files of a killed server: ``postmaster.pid``, the socket, and the socket's lock file.

    Server processes whose first process was killed exit on their own, unless they are busy: those are killed after
    ``wait_seconds``. A complete server is never killed, only waited for.

    :param data: the server's data folder.
    :param sockets: the folder of its socket, which no other server uses.
    :raises Problem: when a server is running there; nothing is removed then.
    """
    _wait_until_ended(data, wait_seconds)
    files = list(sockets.glob(".s.PGSQL.*"))
    if any(_listens(file) for file in files if file.is_socket()):
        raise Problem(
            f"A PostgreSQL that is not among the processes seen here (in a container?) is running over {data}: "
            "stop it first."
        )
    for file in (data / "postmaster.pid", *files):
        file.unlink(missing_ok=True)


def _wait_until_ended(data: Path, wait_seconds: float) -> None:
    until = time.monotonic() + wait_seconds
    until_killed = until + _KILL_SECONDS
    while running := _server_processes(data):
        now = time.monotonic()
        first = [pid for pid, title in running.items() if not title.startswith(_PART)]
        if first and now > until:
            raise Problem(
                f"A PostgreSQL is already running over {data}, process {first[0]}: "
                f"stop it first ('kill -INT {first[0]}')."
            )
        if now > until_killed:
            raise Problem(f"Process {next(iter(running))} of a killed PostgreSQL over {data} does not exit.")
        if now > until:
            for pid in running:
                linux.send(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _server_processes(data: Path) -> dict[int, str]:
    """The processes of a PostgreSQL with ``data`` as working directory, with their titles."""
    found = {}
    for pid in linux.processes():
        if linux.start_time(pid) is None or linux.working_folder(pid) != data:
            continue
        if Path(linux.program(pid)).name.startswith("postgres"):
            found[pid] = linux.command_line(pid)[0]
    return found


def _listens(endpoint: Path) -> bool:
    """Whether a process accepts connections at a Unix socket; not for a stale socket file."""
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.settimeout(2)
        probe.connect(str(endpoint))
        return True
    return False
