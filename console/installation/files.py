"""Atomic file writes: after a crash, and for concurrent readers, a file has the old content or the new."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

# ``.NAME.PID.HEX`` is what this module writes; earlier versions wrote ``NAME.PID.draft`` and ``children.draft``.
_DRAFT = re.compile(r"^\..+\.\d+\.[0-9a-f]{8}$|^.+\.draft$")
_DRAFT_SECONDS = 3600.0


@contextlib.contextmanager
def _draft(path: Path, content: bytes) -> Iterator[Path]:
    """A temporary file beside ``path``, mode 0600, with its content synced to the disk; removed afterwards."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def create_file(path: Path, content: bytes) -> None:
    """Write ``path`` with mode 0600 unless it exists. In a race of two processes one of them writes all of it.

    :raises OSError: when it cannot be written.
    """
    with _draft(path, content) as draft, contextlib.suppress(FileExistsError):
        os.link(draft, path)


def replace_file(path: Path, content: bytes) -> None:
    """Write ``path`` with mode 0600, atomically: readers see the old content or the new.

    :raises OSError: when it cannot be written.
    """
    with _draft(path, content) as draft:
        draft.replace(path)


def remove_stale_drafts(folder: Path) -> None:
    """Remove temporary files older than an hour: killed processes leave them in ``folder``."""
    oldest = time.time() - _DRAFT_SECONDS
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if not _DRAFT.match(entry.name) or not entry.is_file(follow_symlinks=False):
                continue
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_mtime < oldest:
                    Path(entry.path).unlink()
