"""Check that the lock files install with every supported Python version: .ci/pythons.py LOCK_FILE...

For each Python version of pyproject.toml's classifiers, on Linux on x86-64 and on 64-bit Arm, uv resolves each lock
file with hashes required and wheels alone, and installs nothing. Packages that are missing from a lock file, conflict,
or have no wheel make it end with 1. It needs the package index, and no other interpreter; `make lock` runs it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

_CLASSIFIER = "Programming Language :: Python :: "
# glibc 2.28 is older than that of any distribution that has Python 3.11.
_PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28")


def supported_pythons(pyproject: Path) -> list[str]:
    """The Python versions, such as "3.11", that the classifiers of ``pyproject`` name."""
    classifiers = tomllib.loads(pyproject.read_text())["project"]["classifiers"]
    return [one.removeprefix(_CLASSIFIER) for one in classifiers if one.startswith(_CLASSIFIER)]


def _resolve(lock_file: str, python: str, platform: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as nothing:
        options = ("--no-config", "--require-hashes", "--only-binary", ":all:", "--dry-run", "--target", nothing)
        place = ("--python-version", python, "--python-platform", platform)
        command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", *options, *place, "-r", lock_file]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def main(lock_files: list[str]) -> int:
    """Check all combinations; return the exit code of the process."""
    pythons = supported_pythons(Path(__file__).parents[1] / "pyproject.toml")
    failed = 0
    for python in pythons:
        for platform in _PLATFORMS:
            for lock_file in lock_files:
                result = _resolve(lock_file, python, platform)
                if result.returncode:
                    failed += 1
                    print(f"{lock_file}, Python {python}, {platform}:\n{result.stderr.strip()}", file=sys.stderr)
    checked = len(pythons) * len(_PLATFORMS) * len(lock_files)
    tried = f"Python {', '.join(pythons)}; {', '.join(_PLATFORMS)}"
    print(f"Lock files: {checked} checked ({tried}), {failed} do not install.")
    return int(bool(failed or not checked))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
