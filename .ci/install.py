"""Install the packages of a lock file: ``.ci/install.py WHAT LOCK_FILE``, run by the environment's own Python.

Pip says nothing with ``--quiet``, and without it several hundred lines. Here each package is one line, in place on a
terminal. What pip writes to standard error is kept, and shown whole when pip fails. When it does not fail, only that it
waits for an index that does not answer is shown. (With folders as package indexes in the configuration, pip warns
of each package that one of them does not have.)
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

# What pip does next, on standard output. Where another version of pip words it otherwise, lines are missing here.
_COLLECTING = re.compile(r"^Collecting ([A-Za-z0-9._-]+(?:\[[^\]]*\])?==[^ ;]+)")
_FROM_A_FOLDER = re.compile(r"^Processing (?:.*/)?([A-Za-z0-9._]+)-([0-9][^-/ ]*)[^/]*\.(?:whl|tar\.gz|zip)(?: |$)")
_ALREADY_THERE = re.compile(r"^Requirement already satisfied: ")
_DOWNLOADING = re.compile(r"^ +Downloading .* \(([0-9.]+ [kMG]?B)\)")
_CACHED = re.compile(r"^ +Using cached ")
_UNPACKING = re.compile(r"^Installing collected packages: (.*)")
_WAITING = re.compile(r"^WARNING: Retrying ")
_LOCKED = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._\[\],-]*==", re.MULTILINE)


class Progress:
    """Shows how far pip is: one line that changes on a terminal, one line for each package elsewhere."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.number, self.package = what, total, 0, ""
        self.terminal = sys.stdout.isatty()
        self._shown = False

    def read(self, line: str) -> None:
        """Take one line of pip's output."""
        if found := _COLLECTING.match(line):
            self.number += 1
            self.package = found[1]
            if self.terminal:
                self._show()
        elif found := _FROM_A_FOLDER.match(line):
            self.number += 1
            self.package = f"{found[1].replace('_', '-')}=={found[2]}"
            self._show()
        elif _ALREADY_THERE.match(line):
            self.number += 1
        elif found := _DOWNLOADING.match(line):
            self._show(f", downloading {found[1]}")
        elif _CACHED.match(line):
            self._show()
        elif found := _UNPACKING.match(line):
            self.package = f"unpacking {found[1].count(',') + 1} packages ..."
            self._show()

    def _show(self, more: str = "") -> None:
        text = f"  {min(self.number, self.total)} of {self.total}: {self.package}{more}"
        if self.terminal:
            sys.stdout.write(f"\r\033[K{text[:79]}")
            self._shown = True
        else:
            sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Show a line that stays."""
        self.end()
        print(text, flush=True)

    def end(self) -> None:
        """Remove the line that changes."""
        if self._shown:
            sys.stdout.write("\r\033[K")
            sys.stdout.flush()
            self._shown = False


def install(what: str, lock: Path) -> int:
    """Install; the exit code, pip's.

    :param what: what is installed, for people.
    :param lock: the file with each package's version and hashes.
    """
    print(f"Installing {what} ...", flush=True)
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    options = ["--progress-bar", "off", "--require-hashes", "-r", str(lock)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    progress = Progress(what, len(_LOCKED.findall(lock.read_text())))
    errors: list[str] = []

    def keep_errors() -> None:
        waiting = False
        for line in process.stderr or ():
            errors.append(line)
            if _WAITING.match(line) and not waiting:
                waiting = True
                progress.say("  The package index does not answer; pip tries again for a while.")

    reader = threading.Thread(target=keep_errors)
    reader.start()
    for line in process.stdout or ():
        progress.read(line)
    reader.join()
    code = process.wait()
    progress.end()
    if code:
        sys.stderr.writelines(errors)
        print(f"{what[:1].upper()}{what[1:]} could not be installed; the lines above say why.", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(install(sys.argv[1], Path(sys.argv[2])))
