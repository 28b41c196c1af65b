"""A small separate file system for an installation, which can be filled."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO

_NEEDED = (
    "The fault tests fill a small disk, and this machine gives them none: {why}. They need root and loop devices or "
    "tmpfs, as on a usual Linux machine or in a privileged container."
)


class SmallDisk:
    """A file system of some hundred megabytes: ext4 in a file, or a tmpfs if there are no loop devices.

    :param megabytes: its size.
    :param wanted: ``ext4`` or ``tmpfs`` for only that kind.
    :raises RuntimeError: when none can be mounted; says what is needed.
    """

    def __init__(self, megabytes: int, wanted: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="my-images-disk-"))
        self.path = self.folder / "disk"
        self.path.mkdir()
        self.kind = ""
        reasons = []
        for kind, mount in (("ext4", self._mount_ext4), ("tmpfs", self._mount_tmpfs)):
            if wanted not in {"", kind}:
                continue
            try:
                mount(megabytes)
            except (OSError, subprocess.CalledProcessError) as error:
                output = getattr(error, "stderr", b"") or str(error).encode()
                reasons.append(output.decode(errors="replace").strip())
            else:
                self.kind = kind
                break
        if not self.kind:
            shutil.rmtree(self.folder)
            raise RuntimeError(_NEEDED.format(why="; ".join(reasons)))
        self.filler = self.path / "filler"

    def _mount_ext4(self, megabytes: int) -> None:
        image = self.folder / "image"
        with image.open("wb") as file:
            file.truncate(megabytes * 1024 * 1024)
        _run("mkfs.ext4", "-q", "-m", "0", "-i", "4096", str(image))
        _run("mount", "-o", "loop", str(image), str(self.path))

    def _mount_tmpfs(self, megabytes: int) -> None:
        _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "my-images-faults", str(self.path))

    def fill(self, spare: int = 0) -> None:
        """Fill it, except for ``spare`` bytes."""
        with self.filler.open("ab", buffering=0) as file:
            if spare:
                size = max(0, file.seek(0, os.SEEK_END) + self._free() - spare)
                file.truncate(min(size, file.tell()))
                self._grow(file, size - file.tell())
                return
            while free := self._free():
                self._grow(file, free)

    def _free(self) -> int:
        state = os.statvfs(self.path)
        return state.f_bavail * state.f_frsize

    @staticmethod
    def _grow(file: IO[bytes], size: int) -> None:
        if size <= 0:
            return
        try:
            os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
        except OSError:
            with contextlib.suppress(OSError):
                file.write(bytes(4096))

    def room(self) -> None:
        """Free the space that ``fill`` took."""
        self.filler.unlink(missing_ok=True)

    def remove(self) -> None:
        """Unmount and remove it."""
        subprocess.run(["umount", "--lazy", str(self.path)], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
