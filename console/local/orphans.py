"""Stop processes that a killed supervisor left running, before the next start.

Every process that a supervisor starts inherits ``MARK`` in its environment, which names the data folder by its device
and inode. That is what finds them again: a file with process numbers may be missing or damaged, it does not have what
was started a moment before the kill, and its numbers may belong to other processes by now. The record beside it
(``children.json``) adds which signal each of them stops at.
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
# What is killed is gone within this, unless the kernel itself holds it up.
_KILL_SECONDS = 5.0
# A child that was not executed yet when its supervisor was killed still has the supervisor's lock, for a moment.
_LOCK_SECONDS = 1.0
_POLL_SECONDS = 0.05


def lock(folder: Path) -> IO[str]:
    """Take the lock of this data folder, which the kernel frees when we die; keep what is returned.

    :raises Problem: when another supervisor that is alive has it.
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
    """Whether the last run over this data was not stopped in good order: its record is still there."""
    return (folder / "children.json").exists()


def mark(folder: Path) -> dict[str, str]:
    """The environment variable that every child gets.

    :param folder: ``DATA_DIR/run``.
    """
    status = folder.stat()
    return {MARK: f"{status.st_dev}:{status.st_ino}"}


def record(folder: Path, children: Iterable[Child]) -> None:
    """Write down which processes are ours, with the start time of each: the number alone may be reused."""
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
    """The record's rows by process number; none of a record that is missing or damaged, or of an earlier boot."""
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
    """What is still alive of an earlier run: process numbers with their start times.

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
    """End what an earlier run over this data left running; the names of what was. The caller has the lock.

    Each is asked to end (the death of their supervisor has asked them already), and killed when it does not.

    :param folder: ``DATA_DIR/run``.
    """
    rows = _recorded(folder)
    groups = {pid for pid, row in rows.items() if linux.start_time(pid) == row["start"]}
    names: dict[str, None] = {}
    asked: set[tuple[int, int]] = set()
    until_asked = time.monotonic() + _PATIENCE_SECONDS
    until_killed = until_asked + _KILL_SECONDS
    # What ends may have started something meanwhile, so it is asked again who is there.
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
