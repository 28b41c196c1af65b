"""Cache of the static files: packed once for each state of their sources, and stored in the checkout's cache."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from pathlib import Path

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage

from console.installation.environment import BASE_DIR
from console.operations.management.commands import prepare
from tests.support.environment import FOLDER

KEPT = BASE_DIR / ".cache" / "tests-static"
NOTE = "static.collected"


@pytest.fixture(scope="session", autouse=True)
def static_files(django_test_environment):
    """Collect the static files, like a start: pages use their hashed names, and whole products copy them."""
    cached = KEPT / prepare._state(prepare._sources())
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        # Packing takes half a minute: the processes that test side by side do it once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if cached.is_dir():
            _copy(cached, FOLDER)
        # Checks whether the cached files are up to date and complete.
        prepare.Command()._static_files()
        if not cached.is_dir():
            _store(cached)
    # The storage may have been created before the manifest existed.
    staticfiles_storage.hashed_files, staticfiles_storage.manifest_hash = staticfiles_storage.load_manifest()


def _store(cached: Path) -> None:
    """Replace the cache. The caller holds the lock."""
    for earlier in KEPT.glob("*"):
        shutil.rmtree(earlier, ignore_errors=True)  # not the lock, which is a file
    draft = Path(tempfile.mkdtemp(dir=KEPT))
    with contextlib.suppress(OSError):
        _copy(FOLDER, draft)
        draft.rename(cached)
    shutil.rmtree(draft, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    with contextlib.suppress(OSError, shutil.Error):
        shutil.copytree(source / "static", target / "static", dirs_exist_ok=True)
        shutil.copy(source / NOTE, target / NOTE)
