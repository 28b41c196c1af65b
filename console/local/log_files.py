"""Log rotation with a limit of the total size: a full file is renamed, and the oldest are deleted.

Each line is one system call. ``logging.handlers.RotatingFileHandler`` counts characters instead of bytes, and if the
disk is full, it keeps a part of a line in its buffer and writes it before a later one.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NAME = "my-images.log"
# How many files share the total: the newest, and NAME.1 (newer) to NAME.9 (older).
FILES = 10


class LogFiles:
    """Appends lines to ``folder/my-images.log``; all files together never have more than ``total`` bytes.

    Not thread-safe. Raises nothing: if the disk is full, the line is lost, and the next one is tried again.
    """

    def __init__(self, folder: Path, total: int) -> None:
        """Open the newest file.

        :param folder: created if missing; other users cannot read the files.
        :param total: bytes of all files together.
        """
        self.folder = folder
        self.largest = total // FILES
        self._total = total
        self._file: int | None = None
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._remove_oldest()
            # An earlier start may have had a larger total.
            if os.fstat(self._open()).st_size > self.largest:
                self._rotate()

    def write(self, line: bytes) -> bool:
        """Append one line, atomically.

        :param line: with its end; a line longer than a file's limit is dropped.
        :return: whether it was written.
        """
        if len(line) > self.largest:
            return False
        try:
            file = self._open() if self._file is None else self._file
            before = os.fstat(file).st_size
            if before + len(line) > self.largest:
                file, before = self._rotate(), 0
            if os.write(file, line) == len(line):
                return True
            os.ftruncate(file, before)
        except OSError:
            pass
        return False

    def close(self) -> None:
        """Close the newest file; the next line opens it again."""
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = os.open(self.folder / NAME, flags, 0o600)
        return self._file

    def _rotate(self) -> int:
        """Rename each file to the next number; returns the new, empty file.

        :raises OSError: when a file cannot be renamed or created. Then nothing is written, so that the full one does
            not grow.
        """
        self.close()
        for number in reversed(range(FILES)):
            with contextlib.suppress(FileNotFoundError):
                if number == FILES - 1:
                    self._path(number).unlink()
                else:
                    self._path(number).rename(self._path(number + 1))
        self._remove_oldest()
        return self._open()

    def _path(self, number: int) -> Path:
        return self.folder / (f"{NAME}.{number}" if number else NAME)

    def _remove_oldest(self) -> None:
        """Delete the oldest files, to leave space for one more full file."""
        left = self._total - self.largest
        for number in range(1, FILES):
            with contextlib.suppress(FileNotFoundError):
                left -= self._path(number).stat().st_size
                if left < 0:
                    self._path(number).unlink()
