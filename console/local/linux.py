"""System calls: process groups, parent-death signal, free space."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def die_with_parent(number: int = signal.SIGTERM) -> Callable[[], None]:
    """A function to call in a new process: the kernel then sends it the signal ``number`` when its parent dies.

    prctl(2), PR_SET_PDEATHSIG. It is reset when the user changes, so it must be called after that.
    """
    if not sys.platform.startswith("linux"):
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the call
            os.kill(os.getpid(), number)

    return ask


def stop_with_parent(number: int = signal.SIGTERM) -> None:
    """Have the kernel send this process the signal ``number`` when its parent dies; only on Linux."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (proc(5), stat field 22): with the PID it identifies a process.

    ``None`` if there is no such process, or it is a zombie.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def boot_id() -> str:
    """The ID of the current boot (random(4), boot_id); empty if the kernel has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def processes() -> Iterator[int]:
    """The PIDs of all visible processes; none if there is no ``/proc``."""
    try:
        names = [entry.name for entry in Path("/proc").iterdir()]
    except OSError:
        return
    yield from (int(name) for name in names if name.isdigit())


def first_environment(pid: int) -> dict[str, str]:
    """The initial environment of a process (proc(5), environ); empty if it cannot be read.

    That is so for another user's process (unless we are root), and if the process has overwritten it with its title.
    """
    try:
        text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="surrogateescape")
    except OSError:
        return {}
    return dict(part.split("=", 1) for part in text.split("\0") if "=" in part)


def command_line(pid: int) -> list[str]:
    """The arguments of a process, its program first (proc(5), cmdline); one empty text if they cannot be read."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="surrogateescape")
    except OSError:
        return [""]
    return text.split("\0")


def group(pid: int) -> int:
    """The process group of a process; 0 if there is no such process."""
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def program(pid: int) -> str:
    """The path of a process's program (proc(5), exe); empty if it is gone or cannot be read."""
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return ""


def working_folder(pid: int) -> Path | None:
    """The working directory of a process (proc(5), cwd); ``None`` if it is gone or cannot be read."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None


def send(pid: int, number: int) -> None:
    """Send a signal to a process; no effect if it is gone or another user's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def signal_group(pid: int, number: int) -> None:
    """Send a signal to the process group that ``pid`` leads; no effect if it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def group_is_alive(pid: int) -> bool:
    """Whether any process of the group that ``pid`` leads is alive (zombies do not count)."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == pid and fields[0] != "Z":
            return True
    return False
