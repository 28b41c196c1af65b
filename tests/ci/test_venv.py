"""When ``make`` makes the virtual environment: where there is none, and where it does not work."""

import shutil
import subprocess
import sys

import pytest

from console.installation.environment import BASE_DIR


@pytest.fixture
def checkout(tmp_path):
    """A folder with the Makefile, and the lock files as old as they were when they were installed."""
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(BASE_DIR / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    return tmp_path


def planned(folder):
    """What ``make run`` would do."""
    return subprocess.run(
        ["make", "--dry-run", "run"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def interpreter(folder, text):
    """A program in place of the environment's Python; the packages were installed after it was made."""
    path = folder / ".venv" / "bin" / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    (folder / ".venv" / ".installed").touch()


def makes_it(lines):
    return any("bash .ci/venv" in line for line in lines)


def installs(lines):
    return any(".ci/install.py" in line for line in lines)


def test_none(checkout):
    assert makes_it(planned(checkout)) and installs(planned(checkout))


def test_one_that_works(checkout):
    interpreter(checkout, f'exec {sys.executable} "$@"')
    assert not makes_it(planned(checkout)) and not installs(planned(checkout))


@pytest.mark.parametrize("text", [f'exec {sys.executable} -S -I "$@"', "exit 127"], ids=["no packages", "no Python"])
def test_one_that_is_broken(checkout, text):
    """As after an upgrade of the system's Python, or an installation that was broken off."""
    interpreter(checkout, text)
    assert makes_it(planned(checkout)) and installs(planned(checkout))
