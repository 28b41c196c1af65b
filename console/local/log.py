"""One log of all processes: each line with the name of the part that wrote it.

It goes to standard output and, after :meth:`Log.add_files`, to files below ``DATA_DIR``. Each part is rate limited
before both (``log_limit``).
"""

from __future__ import annotations

import datetime
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from console.installation.environment import no_colours
from console.local.log_files import LogFiles
from console.local.log_limit import BURST, RATE, ByteLimit

_WIDTH = 8
_COLOURS = {"edge": 32, "postgres": 34, "registry": 35, "hub": 35, "console": 36, "worker": 33, "prepare": 32}
# Longest line of output of a child process, in bytes. Requests of strangers must not fill a disk by being logged.
LONGEST_LINE = 8 << 10
# Control characters are escaped as in Python ("\x1b"): they could end or hide a line, or move a terminal's cursor.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) != "\t"}
_CONTROLS |= {code: f"\\u{code:04x}" for code in (0x2028, 0x2029)}


class Log:
    """Writes lines to standard output and files, rate limited for each part."""

    def __init__(self, burst: int = BURST, rate: int = RATE, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without files.

        :param burst: bytes that a part may write at once.
        :param rate: bytes that it may write each second after that.
        :param clock: monotonic clock of the limits, in seconds.
        """
        self._limit: Callable[[], ByteLimit] = lambda: ByteLimit(burst, rate, clock)
        self._limits: dict[str, ByteLimit] = {}
        self._files: LogFiles | None = None
        self._lock = threading.Lock()

    def add_files(self, folder: Path, total: int) -> None:
        """Write all lines to files as well, from now on.

        :param folder: the folder of the files.
        :param total: bytes of all files together; 0 for no files.
        """
        with self._lock:
            self._files = LogFiles(folder, total) if total else None

    def write(self, text: str, part: str = "", *, to_files: bool = True) -> None:
        """Write one line immediately and atomically: lines of different parts never mix.

        If the disk is full, the line is lost, without an error.

        :param part: the part that wrote it; empty for My Images itself.
        :param to_files: whether it is written to files, too.
        """
        with self._lock:
            if part not in self._limits:
                self._limits[part] = self._limit()
            if sentence := self._limits[part].left_out():
                self._write(sentence, part)
            self._write(text, part, to_files=to_files)

    def report_dropped(self) -> None:
        """Log how many lines were dropped, for each part that may write again; does not block."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            for part, limit in self._limits.items():
                if sentence := limit.left_out():
                    self._write(sentence, part)
        finally:
            self._lock.release()

    def _write(self, text: str, part: str, *, to_files: bool = True) -> None:
        lines = [line.translate(_CONTROLS) for line in text.split("\n")]
        # The limit counts bytes as in the files, including the time, so it also holds for many very short lines.
        stamped = [f"{_now()} {_named(part)}{line}\n".encode(errors="replace") for line in lines]
        if not self._limits[part].takes(sum(map(len, stamped))):
            return
        if to_files and text and self._files is not None:
            for line in stamped:
                self._files.write(line)
        _print("\n".join(lines), part)


def _now() -> str:
    """The time for the files: UTC, ISO 8601, with milliseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _named(part: str) -> str:
    return f"{part:<{_WIDTH}} │ " if part else ""


def _print(text: str, part: str) -> None:
    name = _named(part)
    try:
        if name and _coloured():
            name = f"\033[{_COLOURS.get(part, 37)}m{name}\033[0m"
        line = f"{name}{text}\n"
        try:
            sys.stdout.write(line)
        except UnicodeEncodeError:  # the terminal's encoding lacks some characters
            sys.stdout.write(line.encode("ascii", "backslashreplace").decode())
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader is gone; keep working
    except OSError:
        pass  # a full disk: the line is lost, but the writer must not block


def _coloured() -> bool:
    return sys.stdout.isatty() and not no_colours()


# The log of this process.
LOG = Log()


def say(text: str, *, part: str = "") -> None:
    """Write one line to the log of this process (:meth:`Log.write`)."""
    LOG.write(text, part)


def bounded_lines(stream: IO[bytes], longest: int = LONGEST_LINE) -> Iterator[bytes]:
    """The lines of a stream; lines longer than ``longest`` bytes are cut, with a note of how much was removed.

    Not more than ``longest`` bytes of a line are held in memory.
    """
    while line := stream.readline(longest):
        if len(line) < longest or line.endswith(b"\n"):
            yield line
            continue
        left_out = 0
        while rest := stream.readline(longest):
            left_out += len(rest.rstrip(b"\n"))
            if rest.endswith(b"\n"):
                break
        yield line + (f" … [{left_out:,} more bytes left out]".encode() if left_out else b"")


def follow(
    stream: IO[bytes], part: str, plain: tuple[str, ...] = (), silent: re.Pattern[str] | None = None
) -> threading.Thread:
    """Copy a child's output to the log in a separate thread, until the child closes it; long lines are cut.

    :param plain: lines with one of these prefixes are printed unchanged, and not written to files: the first password.
    :param silent: lines that match this are left out.
    """

    def run() -> None:
        with stream:
            for raw in bounded_lines(stream):
                line = raw.decode(errors="replace").rstrip()
                if plain and line.startswith(plain):
                    LOG.write(line, to_files=False)
                elif line and not (silent and silent.search(line)):
                    LOG.write(line, part)

    thread = threading.Thread(target=run, name=f"log of {part}", daemon=True)
    thread.start()
    return thread
