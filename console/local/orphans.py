"""Stop processes that a killed supervisor left running (orphans), before the next start.

Every process that a supervisor starts inherits ``MARK`` in its environment, which identifies the data folder by device
and inode. A PID file alone would not be enough: it may be missing or damaged, it lacks processes that were started just
before the kill, and PIDs may be reused. The record in ``children.json`` adds the stop signal of each process.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from console.installation.files import replace_file
from console.local import linux
from console.local.children import Child
from console.local.problems import Problem

MARK = "MY_IMAGES_STARTED_FOR"
_PATIENCE_SECONDS = 5.0
# A killed process is gone within this time, unless it is blocked in the kernel.
_KILL_SECONDS = 5.0
# A child that was forked, but not executed yet, when its supervisor was killed holds the lock for a moment.
_LOCK_SECONDS = 1.0
_POLL_SECONDS = 0.05


def lock(folder: Path) -> IO[str]:
    """Take the file lock of this data folder; it is held while the returned file is open.

    :raises Problem: when another running supervisor holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("a+", errors="replace")
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                continue
            file.seek(0)
            pid = file.read().strip() or "unknown"
            file.close()
            raise Problem(f"My Images is already running over this data, pid {pid}: stop it first.") from None
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file


def was_killed(folder: Path) -> bool:
    """Whether the last run over this data was killed: its record still exists."""
    return (folder / "children.json").exists()


def mark(folder: Path) -> dict[str, str]:
    """The environment variable that every child gets.

    :param folder: ``DATA_DIR/run``.
    """
    status = folder.stat()
    return {MARK: f"{status.st_dev}:{status.st_ino}"}


def record(folder: Path, children: Iterable[Child]) -> None:
    """Record our processes with PID and start time, because PIDs may be reused."""
    boot = linux.boot_id()
    rows = [
        {
            "name": child.name,
            "pid": child.process.pid,
            "start": started,
            "boot": boot,
            "signal": int(child.stop_signal),
        }
        for child in children
        if child.process is not None and (started := linux.start_time(child.process.pid)) is not None
    ]
    replace_file(folder / "children.json", json.dumps(rows).encode())


def _recorded(folder: Path) -> dict[int, dict[str, Any]]:
    """The record's rows by PID; empty if the record is missing or damaged, or from an earlier boot."""
    try:
        rows = json.loads((folder / "children.json").read_bytes())
        boot = linux.boot_id()
        return {
            int(row["pid"]): {"name": str(row["name"]), "start": row["start"], "signal": signal.Signals(row["signal"])}
            for row in rows
            if row.get("boot", boot) == boot
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _left_running(folder: Path, groups: set[int]) -> dict[int, int]:
    """The running processes of an earlier run: PIDs with their start times.

    :param groups: process groups that are known to be ours.
    """
    wanted = mark(folder)[MARK]
    found = {}
    for pid in linux.processes():
        started = linux.start_time(pid)
        if started is None or pid == os.getpid():
            continue
        if linux.group(pid) in groups or linux.first_environment(pid).get(MARK) == wanted:
            found[pid] = started
    return found


def _name(pid: int, rows: dict[int, dict[str, Any]]) -> str:
    for number in (pid, linux.group(pid)):
        if number in rows:
            return str(rows[number]["name"])
    return Path(linux.command_line(pid)[0]).name or f"process {pid}"


def clear(folder: Path) -> list[str]:
    """Stop the processes that an earlier run over this data left running; returns their names.

    The caller holds the lock. Each process gets its stop signal (again, after the parent-death signal), and is killed
    if it does not stop.

    :param folder: ``DATA_DIR/run``.
    """
    rows = _recorded(folder)
    groups = {pid for pid, row in rows.items() if linux.start_time(pid) == row["start"]}
    names: dict[str, None] = {}
    asked: set[tuple[int, int]] = set()
    until_asked = time.monotonic() + _PATIENCE_SECONDS
    until_killed = until_asked + _KILL_SECONDS
    # Repeated, because a process may have started another one before it stopped.
    while left := _left_running(folder, groups):
        now = time.monotonic()
        if now > until_killed:
            break
        for pid, started in left.items():
            if (pid, started) not in asked:
                asked.add((pid, started))
                names[_name(pid, rows)] = None
                linux.send(pid, rows[pid]["signal"] if pid in groups else signal.SIGTERM)
            elif now > until_asked:
                linux.send(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    return list(names)
