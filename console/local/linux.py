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
    """A function for a new process to call: the kernel then sends it ``number`` when its parent dies.

    prctl(2), PR_SET_PDEATHSIG. It is forgotten when the user changes, so it must be called after that.
    """
    if not sys.platform.startswith("linux"):
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before we could ask
            os.kill(os.getpid(), number)

    return ask


def stop_with_parent(number: int = signal.SIGTERM) -> None:
    """Have the kernel send this very process ``number`` when its parent dies; Linux only, else nothing."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (proc(5), stat field 22): tells a process from a later one
    with the same number. ``None`` when there is no such process, or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def boot_id() -> str:
    """What tells this boot of the machine from any other (random(4), boot_id); empty where the kernel has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def processes() -> Iterator[int]:
    """The numbers of all processes that can be seen from here; none where there is no ``/proc``."""
    try:
        names = [entry.name for entry in Path("/proc").iterdir()]
    except OSError:
        return
    yield from (int(name) for name in names if name.isdigit())


def first_environment(pid: int) -> dict[str, str]:
    """The environment that a process began with (proc(5), environ); empty when it cannot be read.

    It cannot for another user's process (unless by root), and for one that has overwritten that memory with its title.
    """
    try:
        text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="surrogateescape")
    except OSError:
        return {}
    return dict(part.split("=", 1) for part in text.split("\0") if "=" in part)


def command_line(pid: int) -> list[str]:
    """The arguments of a process, its program first (proc(5), cmdline); one empty text when they cannot be read."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="surrogateescape")
    except OSError:
        return [""]
    return text.split("\0")


def group(pid: int) -> int:
    """The process group of a process; 0 when there is no such process."""
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def program(pid: int) -> str:
    """The path of the program that a process runs (proc(5), exe); empty when it is gone or cannot be read."""
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return ""


def working_folder(pid: int) -> Path | None:
    """The folder that a process works in (proc(5), cwd); ``None`` when it is gone or cannot be read."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None


def send(pid: int, number: int) -> None:
    """Send a process a signal; nothing when it is gone or another user's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def signal_group(pid: int, number: int) -> None:
    """Send a signal to the process group that ``pid`` leads; nothing when it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def group_is_alive(pid: int) -> bool:
    """Whether any process of the group that ``pid`` leads is alive (remains do not count)."""
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
