"""Free-space guard of the bundled registry's storage, and repair of half-written files.

Distribution 2.8 writes a manifest into its place, not beside it. Where the disk is full, or the process dies, an empty
or shortened file is left under the digest. Whoever pushes the same manifest again is then told that it is stored (there
is a file of that name), and nobody can pull it. So the registry takes no writes while there is little room, and such
files are removed before it takes any again: after it died, and after the disk was full.
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

# A disk that takes a gigabyte a second takes less than this between two looks.
LOW_BYTES = 64 * 1024 * 1024
ENOUGH_BYTES = 2 * LOW_BYTES
_LOW_FILES, _ENOUGH_FILES = 1000, 2000
# A write that breaks off does so between two pages; Distribution takes no manifest that is longer.
_PAGE = 4096
_LONGEST_MANIFEST = 4 * 1024 * 1024


@dataclass(frozen=True)
class Room:
    """What is free on a file system: bytes, and how many more files it can have."""

    bytes: int
    files: int

    @classmethod
    def on(cls, folder: Path) -> Room:
        """What is free where ``folder`` is."""
        state = os.statvfs(folder)
        # Some file systems make room for files as they need it, and say that there is none at all.
        return cls(state.f_bavail * state.f_frsize, state.f_favail if state.f_files else _ENOUGH_FILES)

    @property
    def low(self) -> bool:
        """Whether it is too little to write safely."""
        return self.bytes < LOW_BYTES or self.files < _LOW_FILES

    @property
    def enough(self) -> bool:
        """Whether writing may begin again."""
        return self.bytes >= ENOUGH_BYTES and self.files >= _ENOUGH_FILES


def remove_half_written(data: Path) -> int:
    """Remove blobs whose content is not all there; how many. Nobody may write meanwhile.

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
    """Looks after the storage that ``registries`` share. Called again and again by the supervisor, in its thread.

    :param data: the registry's storage, its ``rootdirectory``.
    :param registries: the processes that write there.
    :param reading: for each, the command that starts it so that it writes nothing.
    """

    def __init__(self, data: Path, registries: Sequence[Child], reading: Sequence[Sequence[str]]) -> None:
        self._data = data
        self._registries = registries
        self._commands = {False: [child.command for child in registries], True: reading}
        self.read_only = False

    def begin(self, *, killed: bool = False) -> None:
        """Before the first start: remove what the last run left, and find out whether there is room.

        :param killed: whether the last run was not stopped in good order.
        """
        self._data.mkdir(parents=True, exist_ok=True)
        self._clean()
        if killed:
            self._repair_tags()
            self._repair_links(time.time())
        if Room.on(self._data).low:
            self._tell(read_only=True)

    def look(self) -> bool:
        """Start the registries anew when one died, or when room ran out or is there again; whether it did."""
        room = Room.on(self._data)
        died = any(not child.running and child.due for child in self._registries)
        changed = room.enough if self.read_only else room.low
        if not died and not changed:
            return False
        for child in self._registries:
            child.stop()
        if changed:
            self._tell(read_only=not self.read_only)
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

    def _tell(self, *, read_only: bool) -> None:
        self.read_only = read_only
        for child, command in zip(self._registries, self._commands[read_only], strict=True):
            child.command = command
        if read_only:
            say(
                "The disk is nearly full, so the registry is read-only: pulls work, pushes and deletions do not. "
                f"Make {ENOUGH_BYTES >> 20} MB free on the file system of {self._data}."
            )
        else:
            say("The disk has free space again: pushes and deletions work.")

    def _repair_tags(self) -> None:
        """Repair the tags that a killed process cut off, while no registry runs."""
        _say_repaired(repair_tags(self._data), "tags")

    def _repair_links(self, before: float) -> None:
        """Repair what else it cut off, beside the registries: a large storage takes minutes."""

        def repair() -> None:
            _say_repaired(repair_links(self._data, before), "links")

        threading.Thread(target=repair, name="repair", daemon=True).start()

    def _clean(self) -> None:
        if removed := remove_half_written(self._data):
            say(f"Removed {removed} partially written files of unconfirmed pushes from the registry's storage.")


def _say_repaired(repaired: int, what: str) -> None:
    if repaired:
        say(f"Repaired {repaired} {what} of the registry's storage that a killed process had truncated.")
