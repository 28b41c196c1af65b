"""Free-space guard of the bundled registry's storage, and removal of half-written files.

Distribution 2.8 does not write manifests atomically. If the disk is full, or the process dies, an empty or truncated
file is left under the digest. A later push of the same manifest then seems to succeed (the file exists), but it cannot
be pulled. So the registry is read-only while the disk is nearly full, and such files are removed before it accepts
writes again: after it died, and after the disk was full.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from console.local.children import Child
from console.local.log import say
from console.local.storage_repair import repair_links, repair_tags

# More than a disk with a gigabyte per second can write between two checks.
LOW_BYTES = 64 * 1024 * 1024
ENOUGH_BYTES = 2 * LOW_BYTES
_LOW_FILES, _ENOUGH_FILES = 1000, 2000
# An interrupted write ends at a page boundary; and the longest manifest that Distribution accepts.
_PAGE = 4096
_LONGEST_MANIFEST = 4 * 1024 * 1024


@dataclass(frozen=True)
class Room:
    """Free bytes and inodes of a file system."""

    bytes: int
    files: int

    @classmethod
    def on(cls, folder: Path) -> Room:
        """The free space of the file system with ``folder``."""
        state = os.statvfs(folder)
        # Some file systems allocate inodes dynamically, and report none.
        return cls(state.f_bavail * state.f_frsize, state.f_favail if state.f_files else _ENOUGH_FILES)

    @property
    def low(self) -> bool:
        """Whether there is too little space to write safely."""
        return self.bytes < LOW_BYTES or self.files < _LOW_FILES

    @property
    def enough(self) -> bool:
        """Whether there is enough space to accept writes again."""
        return self.bytes >= ENOUGH_BYTES and self.files >= _ENOUGH_FILES


def remove_half_written(data: Path) -> int:
    """Remove truncated blobs; returns how many. There must be no concurrent writes.

    :param data: the registry's storage, its ``rootdirectory``.
    """
    removed = 0
    for file in _blobs(data):
        with contextlib.suppress(OSError):
            size = file.stat().st_size
            if size % _PAGE or size > _LONGEST_MANIFEST:
                continue
            if hashlib.sha256(file.read_bytes()).hexdigest() != file.parent.name:
                file.unlink()
                file.parent.rmdir()
                removed += 1
    return removed


def _blobs(data: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        for two in os.scandir(data / "docker" / "registry" / "v2" / "blobs" / "sha256"):
            for digest in os.scandir(two.path):
                yield Path(digest.path, "data")


class Guard:
    """Guards the storage that ``registries`` share. Called periodically by the supervisor, in its thread.

    :param data: the registry's storage, its ``rootdirectory``.
    :param registries: the processes that write there.
    :param reading: for each, the command that starts it in read-only mode.
    """

    def __init__(self, data: Path, registries: Sequence[Child], reading: Sequence[Sequence[str]]) -> None:
        self._data = data
        self._registries = registries
        self._commands = {False: [child.command for child in registries], True: reading}
        self.read_only = False

    def begin(self, *, killed: bool = False) -> None:
        """Before the first start: repair the storage, and check the free space.

        :param killed: whether the last run was killed (not stopped cleanly).
        """
        self._data.mkdir(parents=True, exist_ok=True)
        self._clean()
        if killed:
            self._repair_tags()
            self._repair_links(time.time())
        if Room.on(self._data).low:
            self._set_read_only(True)

    def check(self) -> bool:
        """Restart the registries if one died, or to change read-only mode; returns whether it did."""
        room = Room.on(self._data)
        died = any(not child.running and child.due for child in self._registries)
        changed = room.enough if self.read_only else room.low
        if not died and not changed:
            return False
        for child in self._registries:
            child.stop()
        if changed:
            self._set_read_only(not self.read_only)
        if not self.read_only:
            self._clean()
        if died:
            self._repair_tags()
        before = time.time()
        for child in self._registries:
            child.start()
        if died:
            self._repair_links(before)
        return True

    def _set_read_only(self, read_only: bool) -> None:
        self.read_only = read_only
        for child, command in zip(self._registries, self._commands[read_only], strict=True):
            child.command = command
        if read_only:
            say(
                "The disk is nearly full, so the registry is read-only: pulls work, pushes and deletions do not. "
                f"Make {ENOUGH_BYTES >> 20} MB free on the file system of {self._data}."
            )
        else:
            say("There is enough disk space again: images can be pushed and deleted.")

    def _repair_tags(self) -> None:
        """Repair the tags that a killed process truncated; no registry may be running."""
        _say_repaired(repair_tags(self._data), "tags")

    def _repair_links(self, before: float) -> None:
        """Repair other truncated links in the background: a large storage takes minutes."""

        def repair() -> None:
            _say_repaired(repair_links(self._data, before), "links")

        threading.Thread(target=repair, name="repair", daemon=True).start()

    def _clean(self) -> None:
        if removed := remove_half_written(self._data):
            say(f"Removed {removed} partially written files of unconfirmed pushes from the registry's storage.")


def _say_repaired(repaired: int, what: str) -> None:
    if repaired:
        say(f"Repaired {repaired} {what} of the registry's storage that a killed process had truncated.")
