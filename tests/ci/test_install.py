"""The installation of locked packages: what a person sees of pip, with packages of the test's own."""

import base64
import hashlib
import os
import pty
import shutil
import subprocess
import sys
import zipfile

import pytest

from console.installation.environment import BASE_DIR

SCRIPT = str(BASE_DIR / ".ci" / "install.py")
NAMES = ("alpha", "beta")


def wheel(folder, name):
    """A package with one module (PEP 427); the hash of its file."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": b"",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(content)}")
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]).encode()
    file = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def lock(tmp_path):
    """A lock file of two packages, which are in a folder."""
    (tmp_path / "wheels").mkdir()
    lines = [f"{name}==1.0 --hash=sha256:{wheel(tmp_path / 'wheels', name)}" for name in NAMES]
    file = tmp_path / "lock.txt"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture
def variables(tmp_path):
    """Pip's configuration: an index that is a folder without these packages, of each of which pip warns."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PIP_")},
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": f"file://{tmp_path}/nowhere",
        "PIP_FIND_LINKS": str(tmp_path / "wheels"),
        "PIP_TARGET": str(tmp_path / "installed"),
    }


def install(lock, variables):
    command = [sys.executable, SCRIPT, "what it needs", str(lock)]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def test_a_line_for_each_package_and_nobodys_warnings(lock, variables, tmp_path):
    result = install(lock, variables)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "Installing what it needs ...",
        "  1 of 2: alpha==1.0",
        "  2 of 2: beta==1.0",
        "  2 of 2: unpacking 2 packages ...",
    ]
    assert result.stderr == ""
    assert all((tmp_path / "installed" / f"{name}.py").exists() for name in NAMES)


def test_an_error_is_shown_whole(lock, variables):
    lock.write_text("".join(f"{name}==1.0 --hash=sha256:{'0' * 64}\n" for name in NAMES))
    result = install(lock, variables)
    assert result.returncode == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in result.stderr
    assert "WARNING: Location" in result.stderr, "what pip said before it"
    assert result.stderr.splitlines()[-1] == "What it needs could not be installed; the lines above say why."


def test_on_a_terminal_it_is_one_line(lock, variables):
    controller, terminal = pty.openpty()
    command = [sys.executable, SCRIPT, "what it needs", str(lock)]
    process = subprocess.Popen(command, env=variables, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    try:
        while piece := os.read(controller, 65536):
            shown += piece
    except OSError:
        pass  # Linux says so when the last process has closed the other side
    assert process.wait() == 0
    os.close(controller)
    assert shown.count(b"\n") == 1
    assert b"\r\033[K  2 of 2: beta==1.0" in shown
    assert shown.endswith(b"\r\033[K")


@pytest.fixture
def checkout(tmp_path):
    """A checkout with a virtual environment made of no packages."""
    folder = tmp_path / "checkout"
    shutil.copytree(BASE_DIR / ".ci", folder / ".ci")
    shutil.copy(BASE_DIR / "Makefile", folder)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (folder / name).touch()
    return folder


def make(checkout, variables):
    given = {name: value for name, value in variables.items() if name != "PIP_TARGET" and not name.startswith("MAKE")}
    command = ["make", f"PYTHON={sys.executable}", ".venv/.installed-dev"]
    return subprocess.run(command, cwd=checkout, env=given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("left", ["no pip", "packages half unpacked"])
def test_an_environment_that_was_left_half_made(checkout, lock, variables, left):
    """It is made anew: pip takes a package for installed that has nothing but its metadata."""
    venv = checkout / ".venv"
    if left == "no pip":
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    else:
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        (venv / ".installing").touch()
        (venv / ".installed").touch()
        (folder,) = venv.glob("lib/python*/site-packages")
        (folder / "alpha-1.0.dist-info").mkdir()
        (folder / "alpha-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n")
    (checkout / "requirements.txt").write_text(lock.read_text())
    (checkout / "requirements-dev.txt").write_text(lock.read_text())
    if (venv / ".installed").exists():
        os.utime(venv / ".installed")
    result = make(checkout, variables)
    assert result.returncode == 0, result.stderr
    assert "Making the virtual environment in .venv" in result.stdout
    subprocess.run([venv / "bin" / "python", "-c", "import alpha, beta"], check=True)
    assert not (venv / ".installing").exists()
    assert make(checkout, variables).stdout.strip().endswith("up to date."), "nothing is left to do"
