"""One tidy log for everything: each line with the name of the part that wrote it.

It goes to standard output and, once :meth:`Log.keep` was told where, to files below ``DATA_DIR``. How much of it there
can be is decided before both, for each part (``log_limit``).
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
_COLOURS = {"postgres": 34, "registry": 35, "hub": 35, "console": 36, "worker": 33, "prepare": 32}
# Bytes of a line of output, of each child process. What strangers cause to be logged must not fill a disk.
LONGEST_LINE = 8 << 10
# What would end a line, hide it, or move a terminal's cursor, is written as it is in Python: "\x1b".
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) != "\t"}
_CONTROLS |= {code: f"\\u{code:04x}" for code in (0x2028, 0x2029)}


class Log:
    """Where lines go, and how many of each part."""

    def __init__(self, burst: int = BURST, rate: int = RATE, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without files.

        :param burst: bytes that a part may write at once.
        :param rate: bytes that it may write each second after that.
        :param clock: seconds, from any moment on, for the limits.
        """
        self._limit: Callable[[], ByteLimit] = lambda: ByteLimit(burst, rate, clock)
        self._limits: dict[str, ByteLimit] = {}
        self._files: LogFiles | None = None
        self._lock = threading.Lock()

    def keep(self, folder: Path, total: int) -> None:
        """Write all lines from now on to files as well.

        :param folder: where to.
        :param total: bytes of all files together; 0 for no files.
        """
        with self._lock:
            self._files = LogFiles(folder, total) if total else None

    def write(self, text: str, part: str = "", *, kept: bool = True) -> None:
        """Write one line, at once, whole: lines of different parts never mix.

        A full disk is no reason to fail: then the line is lost.

        :param part: who says it; empty for My Images itself.
        :param kept: whether files have it too.
        """
        with self._lock:
            if part not in self._limits:
                self._limits[part] = self._limit()
            if sentence := self._limits[part].left_out():
                self._write(sentence, part)
            self._write(text, part, kept=kept)

    def tell_left_out(self) -> None:
        """Say how many lines were left out, of each part that may write again; nothing waits for this."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            for part, limit in self._limits.items():
                if sentence := limit.left_out():
                    self._write(sentence, part)
        finally:
            self._lock.release()

    def _write(self, text: str, part: str, *, kept: bool = True) -> None:
        lines = [line.translate(_CONTROLS) for line in text.split("\n")]
        # What is counted is what the files have, with the time: very short lines are no way around the limit.
        stamped = [f"{_now()} {_named(part)}{line}\n".encode(errors="replace") for line in lines]
        if not self._limits[part].takes(sum(map(len, stamped))):
            return
        if kept and text and self._files is not None:
            for line in stamped:
                self._files.write(line)
        _print("\n".join(lines), part)


def _now() -> str:
    """The time as files have it: UTC, ISO 8601, with milliseconds."""
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
        except UnicodeEncodeError:  # where our characters cannot be shown, the rest of the line can
            sys.stdout.write(line.encode("ascii", "backslashreplace").decode())
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader is gone; keep working
    except OSError:
        pass  # a log on a full disk: the line is lost, and whoever wrote it must not wait for ever


def _coloured() -> bool:
    return sys.stdout.isatty() and not no_colours()


# The log of this process.
LOG = Log()


def say(text: str, *, part: str = "") -> None:
    """Write one line to the log of this process (:meth:`Log.write`)."""
    LOG.write(text, part)


def bounded_lines(stream: IO[bytes], longest: int = LONGEST_LINE) -> Iterator[bytes]:
    """The lines of a stream; one that is longer than ``longest`` bytes is cut, and says how much was left out.

    No more of it than that is held.
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
    """Write to the log what a child writes, from a thread of its own, until it closes its end; long lines are cut.

    :param plain: lines that begin with one of these are printed as they are, and are in no file: the first password.
    :param silent: lines in which this is found are left out.
    """

    def run() -> None:
        with stream:
            for raw in bounded_lines(stream):
                line = raw.decode(errors="replace").rstrip()
                if plain and line.startswith(plain):
                    LOG.write(line, kept=False)
                elif line and not (silent and silent.search(line)):
                    LOG.write(line, part)

    thread = threading.Thread(target=run, name=f"log of {part}", daemon=True)
    thread.start()
    return thread
