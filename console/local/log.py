"""One tidy log for everything: each line with the name of the part that wrote it."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from typing import IO

from console.installation.environment import no_colours

_WIDTH = 8
_COLOURS = {"postgres": 34, "registry": 35, "hub": 35, "console": 36, "worker": 33, "prepare": 32}
_lock = threading.Lock()
# Bytes of a line of output, of each child process. What strangers cause to be logged must not fill a disk.
LONGEST_LINE = 8 << 10


def say(text: str, *, part: str = "") -> None:
    """Print one line, at once, whole: lines of different parts never mix."""
    if part:
        colour = _COLOURS.get(part, 37)
        name = f"{part:<{_WIDTH}} │ "
        text = (f"\033[{colour}m{name}\033[0m" if _coloured() else name) + text
    with _lock:
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except (BrokenPipeError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read us is gone; the work goes on
        except OSError:
            pass  # a log on a full disk: the line is lost, and whoever wrote it must not wait for ever


def _coloured() -> bool:
    return sys.stdout.isatty() and not no_colours()


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
    """Print what a child writes, from a thread of its own, until it closes its end; long lines are cut.

    :param plain: lines that begin with one of these are printed as they are.
    :param silent: lines in which this is found are left out.
    """

    def run() -> None:
        with stream:
            for raw in bounded_lines(stream):
                line = raw.decode(errors="replace").rstrip()
                if line and not (silent and silent.search(line)):
                    say(line, part="" if plain and line.startswith(plain) else part)

    thread = threading.Thread(target=run, name=f"log of {part}", daemon=True)
    thread.start()
    return thread
