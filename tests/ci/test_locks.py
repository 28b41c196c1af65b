"""The lock files, for every supported Python version: complete, and checked by ``.ci/pythons.py``."""

import functools
import hashlib
import importlib.metadata
import os
import subprocess
import sys
import threading
import tomllib
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from console.installation.environment import BASE_DIR

PROJECT = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]
CLASSIFIER = "Programming Language :: Python :: "
PYTHONS = [one.removeprefix(CLASSIFIER) for one in PROJECT["classifiers"] if one.startswith(CLASSIFIER)]
DIRECT = {
    "requirements.txt": PROJECT["dependencies"],
    "requirements-dev.txt": PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"],
}


def environment(python):
    """The markers' variables on Linux on x86-64 with that Python version."""
    return {
        **default_environment(),
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "extra": "",
    }


def applies(requirement, python, extras=()):
    """Whether a requirement counts with that Python version, for a package asked for with ``extras``."""
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({**environment(python), "extra": extra}) for extra in ("", *extras))


def locked(lock_file, python):
    """The requirements that are locked for that Python version, by name."""
    lines = (BASE_DIR / lock_file).read_text().splitlines()
    found = [Requirement(line.removesuffix("\\")) for line in lines if line[:1].isalnum()]
    return {canonicalize_name(one.name): one for one in found if applies(one, python)}


def version_of(requirement):
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    return specifier.version


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock_file", DIRECT)
def test_complete(lock_file, python):
    """What is asked for, and what the installed packages ask for, is locked in a version that they take."""
    pinned = locked(lock_file, python)
    asked = [("pyproject.toml", one) for one in map(Requirement, DIRECT[lock_file]) if applies(one, python)]
    for name, pin in pinned.items():
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if distribution.version != version_of(pin):
            continue
        assert python in SpecifierSet(distribution.metadata.get("Requires-Python") or ""), name
        needs = [Requirement(line) for line in distribution.requires or ()]
        asked += [(name, need) for need in needs if applies(need, python, pin.extras)]
    assert len(asked) > len(pinned)
    for by, need in asked:
        assert canonicalize_name(need.name) in pinned, f"{by} needs {need}, which is not locked"
        pin = pinned[canonicalize_name(need.name)]
        assert need.specifier.contains(version_of(pin), prereleases=True), f"{by} needs {need}, locked is {pin}"
        assert need.extras <= pin.extras, f"{by} needs {need}, locked is {pin}"


def test_the_same_versions_everywhere():
    """The oldest Python version is one for pip, the lock files, ruff and mypy; .ci/venv and README name both ends."""
    settings = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    assert settings["tool"]["mypy"]["python_version"] == PYTHONS[0]
    assert settings["tool"]["ruff"]["target-version"] == f"py{PYTHONS[0].replace('.', '')}"
    for name in ("README.md", ".ci/venv"):
        assert f"Python {PYTHONS[0]} to {PYTHONS[-1]}" in (BASE_DIR / name).read_text(), name


class Index:
    """A package index on this machine (PEP 503), and the lines that lock its packages."""

    def __init__(self, folder):
        self.folder = folder
        handler = functools.partial(Quiet, directory=str(folder))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add(self, name, tag):
        """Add a package that has one wheel; the line of a lock file for it."""
        path = self.folder / name / f"{name}-1.0-{tag}.whl"
        path.parent.mkdir()
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            wheel.writestr(f"{name}-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
            wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        (path.parent / "index.html").write_text(f'<a href="{path.name}#sha256={digest}">{path.name}</a>')
        return f"{name}==1.0 --hash=sha256:{digest}\n"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass


@pytest.fixture
def index(tmp_path):
    (tmp_path / "index").mkdir()
    index = Index(tmp_path / "index")
    yield index
    index.close()


def check(tmp_path, index, lock):
    path = tmp_path / "lock.txt"
    path.write_text(lock)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("UV_", "COV"))}
    address = f"http://127.0.0.1:{index.server.server_port}/"
    return subprocess.run(
        [sys.executable, BASE_DIR / ".ci" / "pythons.py", path],
        env={**inherited, "UV_DEFAULT_INDEX": address, "UV_CACHE_DIR": str(tmp_path / "uv")},
        capture_output=True,
        text=True,
        check=False,
    )


class TestCheck:
    def test_a_wheel_for_all(self, tmp_path, index):
        result = check(tmp_path, index, index.add("anywhere", "py3-none-any"))
        assert result.returncode == 0, result.stderr
        assert "8 checked" in result.stdout and "0 do not install" in result.stdout

    def test_a_wheel_for_one_version(self, tmp_path, index):
        result = check(tmp_path, index, index.add("narrow", "cp311-cp311-manylinux_2_17_x86_64"))
        assert result.returncode == 1
        assert "7 do not install" in result.stdout
        assert "Python 3.14, x86_64-manylinux_2_28" in result.stderr

    def test_a_hash_that_is_missing(self, tmp_path, index):
        index.add("anywhere", "py3-none-any")
        result = check(tmp_path, index, "anywhere==1.0\n")
        assert result.returncode == 1
        assert "hash" in result.stderr
