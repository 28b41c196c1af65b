"""Remove lock files of an embedded PostgreSQL that was killed, once none of its processes runs.

PostgreSQL has three checks of its own (``miscinit.c``, ``CreateLockFile``): the process number in ``postmaster.pid``,
the one in the socket's ``.lock``, and whether a process is attached to the old server's shared memory. The first two
are numbers in files, and another process of the same user may have the number by now: PostgreSQL then refuses to start
for as long as that process lives. So the kernel is asked here: which processes of PostgreSQL work in that data folder
(each server process does, all its life), and whether anything listens on the socket.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from pathlib import Path

from console.local import linux
from console.local.problems import Problem

# How long a server that is shutting down, or what is left of one, may take to end, in seconds.
WAIT_SECONDS = 10.0
_KILL_SECONDS = 5.0
_POLL_SECONDS = 0.05
# Every process of a server but the first one has this title.
_PART = "postgres: "


def remove_lock_files(data: Path, sockets: Path, wait_seconds: float = WAIT_SECONDS) -> None:
    """Remove what a killed server left: ``postmaster.pid``, the socket, and the socket's lock file.

    Server processes whose first process was killed end by themselves, unless they are busy: those are killed after
    ``wait_seconds``. A whole server is only waited for.

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
            raise Problem(f"Process {next(iter(running))} of a killed PostgreSQL over {data} does not end.")
        if now > until:
            for pid in running:
                linux.send(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _server_processes(data: Path) -> dict[int, str]:
    """The processes of a PostgreSQL that work in ``data``, with their titles."""
    found = {}
    for pid in linux.processes():
        if linux.start_time(pid) is None or linux.working_folder(pid) != data:
            continue
        if Path(linux.program(pid)).name.startswith("postgres"):
            found[pid] = linux.command_line(pid)[0]
    return found


def _listens(endpoint: Path) -> bool:
    """Whether a process accepts connections at a Unix socket. A file that a killed one left is refused."""
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.settimeout(2)
        probe.connect(str(endpoint))
        return True
    return False
