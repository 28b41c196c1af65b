"""What a supervisor leaves on record, so that the next one can clear away what a killed one left running."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from console.local import linux
from console.local.children import Child
from console.local.problems import Problem

_PATIENCE_SECONDS = 5.0


def lock(folder: Path) -> IO[str]:
    """Take the lock of this data folder, which the kernel frees when we die; keep what is returned.

    :raises Problem: when another supervisor that is alive has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        pid = file.read().strip() or "unknown"
        file.close()
        raise Problem(f"My Images is already running over this data, pid {pid}: stop it first.") from None
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file


def record(folder: Path, children: Iterable[Child]) -> None:
    """Write down which processes are ours, with their start times: a number alone may be somebody else's later."""
    rows = [
        {"name": child.name, "pid": child.process.pid, "start": started, "signal": int(child.stop_signal)}
        for child in children
        if child.process is not None and (started := linux.start_time(child.process.pid)) is not None
    ]
    draft = folder / "children.draft"
    draft.write_text(json.dumps(rows))
    draft.rename(folder / "children.json")


def clear(folder: Path) -> list[str]:
    """End the processes on record that are still alive; their names.

    Each is asked to end first (the death of their supervisor has asked them already), then its whole group is killed.
    """
    try:
        rows = json.loads((folder / "children.json").read_text())
    except (OSError, ValueError):
        return []
    alive = [row for row in rows if linux.start_time(row["pid"]) == row["start"]]
    for row in alive:
        linux.signal_group(row["pid"], signal.Signals(row["signal"]))
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while any(linux.group_is_alive(row["pid"]) for row in alive) and time.monotonic() < deadline:
        time.sleep(0.05)
    for row in alive:
        linux.signal_group(row["pid"], signal.SIGKILL)
    (folder / "children.json").unlink(missing_ok=True)
    return [row["name"] for row in alive]
