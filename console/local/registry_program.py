"""Choose the registry program: on the PATH, unpacked before, or downloaded now; check for the fix.

``python -m console.local.registry_program`` prints its path.
"""

from __future__ import annotations

import fcntl
import functools
import gzip
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from console.installation.environment import load
from console.local import registry_package
from console.local.log import say

NAMES = ("registry", "docker-registry")
# In pull-through mode the registry sends its upstream's credentials to any token server that the upstream names.
ADVISORY = "CVE-2026-33540"
_FIXED_UPSTREAM = (3, 1, 0)
# Debian's 2.8.3+ds1-3.
_FIXED_IN_DEBIAN = (2, 8, 3, 1, 3)
# After a failed download the next starts do not retry for so long, if there is a program that runs.
_NEXT_ATTEMPT_SECONDS = 24 * 3600.0
_RUN_SECONDS = 10


@dataclass(frozen=True)
class Registry:
    """A program of the registry.

    :param version: of its package, or from ``--version``; empty if unknown.
    :param fixed: whether it is known to have the fix for ``ADVISORY``.
    """

    path: Path
    version: str
    fixed: bool


def find(data_dir: Path) -> Registry | None:
    """Choose a program on this machine; nothing is downloaded.

    One with the fix comes first, then the PATH. A program on the PATH that is not a 2.x was installed on purpose, and
    is always used.
    """
    on_path = next((_known(Path(found)) for name in NAMES if (found := shutil.which(name))), None)
    if on_path is not None and (on_path.fixed or not on_path.version.startswith("2.")):
        return on_path
    unpacked = [_known(program) for program in _unpacked(data_dir)]
    fixed = next((one for one in unpacked if one.fixed), None)
    return fixed or on_path or next(iter(unpacked), None)


def find_or_fetch(data_dir: Path, stopped: Callable[[], bool] = lambda: False) -> Registry | None:
    """Choose a program; a package with the fix is downloaded if there is none here.

    It replaces earlier versions, whose folders are removed. Safe to kill at any time, and safe for concurrent calls in
    several processes.

    :param data_dir: packages are unpacked below it; nothing is installed into the system and no service started.
    :param stopped: whether to abort the download; called repeatedly.
    :return: ``None`` if there is no program and the download failed.
    """
    found = find(data_dir)
    if not _worth_an_attempt(data_dir, found):
        return found
    folder = data_dir / "registry"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "package.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = find(data_dir)
        if not _worth_an_attempt(data_dir, found):
            return found
        # Left by a killed download.
        scratch = folder / "fetching"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            _fetch(data_dir, registry_package.Fetcher(scratch, stopped), found)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return find(data_dir)


def sentence(found: Registry | None) -> str:
    """The log message about the program; ``None`` is a program in a container."""
    if found is None:
        return f"Registry: the image registry:2 in a container, which may not have the fix for {ADVISORY}."
    name = f"Registry: CNCF Distribution {found.version or f'of unknown version ({found.path})'}"
    return f"{name}, {'has' if found.fixed else 'does not have'} the fix for {ADVISORY}."


def _worth_an_attempt(data_dir: Path, found: Registry | None) -> bool:
    if found is None:
        return True
    if found.fixed or not found.version.startswith("2."):
        return False
    try:
        age = time.time() - _note(data_dir).stat().st_mtime
    except OSError:
        return True
    return not 0 <= age < _NEXT_ATTEMPT_SECONDS


def _note(data_dir: Path) -> Path:
    """A file whose modification time is that of the last download without success."""
    return data_dir / "registry" / "package.tried"


def _fetch(data_dir: Path, fetcher: registry_package.Fetcher, found: Registry | None) -> None:
    """Download and unpack a package; on failure nothing is changed.

    :param found: the program without it.
    """
    if fetcher.mirror or (found is None and registry_package.has_apt()):
        say(f"Downloading the registry's package, with the fix for {ADVISORY} if available ...")
    for suite in registry_package.SUITES if fetcher.mirror else ():
        package = fetcher.from_later_release(suite)
        if package is not None and _adopt(data_dir, fetcher, package, fixed_only=True):
            _note(data_dir).unlink(missing_ok=True)
            return
    if found is None:
        package = fetcher.from_own_release()
        if package is not None:
            _adopt(data_dir, fetcher, package, fixed_only=False)
    if fetcher.stopped():
        return
    _note(data_dir).touch()
    if found is not None and fetcher.mirror:
        say("No package with the fix could be downloaded. The first start after 24 hours retries.")


def _adopt(data_dir: Path, fetcher: registry_package.Fetcher, package: Path, *, fixed_only: bool) -> bool:
    """Unpack a package and install it if it runs here; returns whether it was installed."""
    unpacked = fetcher.unpack(package)
    if unpacked is None:
        return False
    version, folder = unpacked
    program = folder / _IN_PACKAGE
    if not _version_output(program) or (fixed_only and not _is_fixed(version, program)):
        return False
    target = _programs(data_dir) / version
    target.parent.mkdir(exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    folder.rename(target)
    for other in (*_programs(data_dir).iterdir(), _first_layout(data_dir)):
        if other != target:
            shutil.rmtree(other, ignore_errors=True)
    return True


_IN_PACKAGE = Path("usr", "bin", registry_package.PACKAGE)


def _programs(data_dir: Path) -> Path:
    """The folder of unpacked packages, each in a folder named by its version."""
    return data_dir / "registry" / "programs"


def _first_layout(data_dir: Path) -> Path:
    """The folder where earlier versions of My Images unpacked the package."""
    return data_dir / "registry" / "package"


def _unpacked(data_dir: Path) -> list[Path]:
    """The unpacked programs, the newest first."""
    try:
        folders = sorted(_programs(data_dir).iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    except OSError:
        folders = []
    programs = [folder / _IN_PACKAGE for folder in (*folders, _first_layout(data_dir))]
    return [program for program in programs if program.is_file()]


def _known(program: Path) -> Registry:
    return _known_at(program, program.stat().st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _known_at(program: Path, changed_at: int) -> Registry:
    """Version and fix of a program, cached.

    :param changed_at: the file's modification time, so that a replaced file is not found in the cache.
    """
    version = _package_version(program) or _upstream_version(program)
    return Registry(program, version, _is_fixed(version, program))


def _package_version(program: Path) -> str:
    """The version of the Debian package with ``program``; empty if it is not from a package."""
    root = program.parent.parent.parent
    if root.parent.name == "programs":
        return root.name
    first = re.match(r"\S+ \(([^)]+)\)", _changelog(program))
    if first and program.name == registry_package.PACKAGE:
        return first[1]
    if root == Path("/") and shutil.which("dpkg-query"):
        command = ["dpkg-query", "--show", "--showformat=${Version}", registry_package.PACKAGE]
        owner = subprocess.run(["dpkg-query", "--search", str(program)], capture_output=True, text=True, check=False)
        if owner.stdout.startswith(f"{registry_package.PACKAGE}:"):
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return ""


def _changelog(program: Path) -> str:
    """The changelog of the Debian package with ``program``, if it was unpacked beside it."""
    folder = program.parent.parent / "share" / "doc" / registry_package.PACKAGE
    try:
        return gzip.decompress((folder / "changelog.Debian.gz").read_bytes()).decode(errors="replace")
    except (OSError, EOFError, gzip.BadGzipFile):
        return ""


def _version_output(program: Path) -> str:
    """The output of ``program --version``; empty if it does not run here."""
    if not os.access(program, os.X_OK):
        return ""
    try:
        answer = subprocess.run([str(program), "--version"], capture_output=True, timeout=_RUN_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.decode(errors="replace").strip() if answer.returncode == 0 else ""


def _upstream_version(program: Path) -> str:
    """Parse the version in "registry github.com/distribution/distribution/v3 v3.1.1"."""
    match = re.search(r"\sv?(\d+\.\d+\S*)$", _version_output(program))
    return match[1] if match else ""


def _is_fixed(version: str, program: Path) -> bool:
    """Whether it has the fix: Distribution since 3.1.0, Debian's package since ``_FIXED_IN_DEBIAN``, or a package whose
    changelog names it.
    """
    numbers = tuple(int(part) for part in re.findall(r"\d+", version))
    # A 2.8 without a Debian revision is Distribution's own release; none of them has the fix.
    if numbers >= _FIXED_UPSTREAM or ("-" in version and _FIXED_IN_DEBIAN <= numbers < (3,)):
        return True
    return program.name == registry_package.PACKAGE and ADVISORY in _changelog(program)


if __name__ == "__main__":
    if (program := find(load().data_dir)) is None:
        sys.exit("No registry program has been fetched yet: start My Images once.")
    print(program.path)
