"""Which program of the registry runs: fetched with the real apt from a signed mirror in a folder."""

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from console.installation.environment import BASE_DIR
from console.local import registry, registry_package, registry_program
from console.local.problems import Problem
from tests.local.debian_mirror import Mirror, programs_alone

pytestmark = pytest.mark.skipif(
    not (shutil.which("apt-get") and shutil.which("gpg")), reason="needs apt and GnuPG, which Debian and Ubuntu have"
)

OLD, FIXED = "2.8.2+ds1-1", "2.8.3+ds1-3"


@pytest.fixture(scope="module")
def new_mirror(tmp_path_factory):
    """A mirror with a key and no packages, to be copied: making a key takes a while."""
    made = Mirror(tmp_path_factory.mktemp("mirror") / "debian")
    yield made
    made.close()


@pytest.fixture
def mirror(new_mirror, monkeypatch):
    """The only mirror that this machine knows: a bookworm with the old version, and nothing later."""
    for part in ("dists", "pool", "build", "state/lists"):
        shutil.rmtree(new_mirror.folder / part, ignore_errors=True)
    (new_mirror.folder / "hook").unlink(missing_ok=True)
    (new_mirror.folder / "state/lists/partial").mkdir(parents=True)
    new_mirror.publish("bookworm", OLD)
    release = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)
    monkeypatch.setattr(registry_package, "KEYRINGS", (new_mirror.keyring,))
    monkeypatch.setenv("APT_CONFIG", str(new_mirror.configuration))
    new_mirror.os_release = release
    return new_mirror


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The PATH: apt, and what a test puts there."""
    folder = tmp_path / "bin"
    programs_alone(folder)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def data_dir(tmp_path, path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def script(folder, name, text="exit 0"):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.unlink(missing_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def left_over(data_dir):
    return {entry.name for entry in (data_dir / "registry").iterdir()} - {"programs", "package.lock", "package.tried"}


class TestFetching:
    def test_the_package_with_the_fix_out_of_a_later_release(self, data_dir, mirror):
        mirror.publish("forky", FIXED)
        before = sorted(file for file in mirror.folder.rglob("*") if "state" in file.parts)
        found = registry_program.find_or_fetch(data_dir)
        assert (found.version, found.fixed) == (FIXED, True)
        assert found.path == data_dir / "registry" / "programs" / FIXED / "usr" / "bin" / "docker-registry"
        assert "has the fix for CVE-2026-33540" in registry_program.sentence(found)
        assert not left_over(data_dir)
        assert not (mirror.folder / "hook").exists(), "what the machine does after an update of its own"
        assert sorted(file for file in mirror.folder.rglob("*") if "state" in file.parts) == before
        shutil.rmtree(mirror.folder / "dists")
        assert registry_program.find_or_fetch(data_dir) == found, "and nothing is asked for again"

    def test_out_of_sid_while_the_release_before_it_has_none(self, data_dir, mirror):
        mirror.publish("forky", OLD)
        mirror.publish("sid", FIXED)
        assert registry_program.find_or_fetch(data_dir).version == FIXED

    def test_a_fix_that_only_the_changelog_names(self, data_dir, mirror):
        mirror.publish("forky", "2.8.3+ds1-2+deb13u1", changes="* Backport the fix of CVE-2026-33540.")
        found = registry_program.find_or_fetch(data_dir)
        assert (found.version, found.fixed) == ("2.8.3+ds1-2+deb13u1", True)

    @pytest.mark.parametrize("how", ["nothing there", "not signed", "another key", "does not run here"])
    def test_otherwise_the_releases_own(self, data_dir, mirror, how, monkeypatch, tmp_path, capsys):
        if how == "not signed":
            mirror.publish("forky", FIXED, signed=False)
        elif how == "another key":
            mirror.publish("forky", FIXED)
            other = tmp_path / "other.gpg"
            other.write_bytes(b"")
            monkeypatch.setattr(registry_package, "KEYRINGS", (other,))
        elif how == "does not run here":
            mirror.publish("forky", FIXED, script="exit 127")
        found = registry_program.find_or_fetch(data_dir)
        assert (found.version, found.fixed) == (OLD, False)
        assert "does not have the fix for CVE-2026-33540" in registry_program.sentence(found)
        assert not left_over(data_dir)
        assert capsys.readouterr().out.count("Downloading the registry's package") == 1

    def test_another_distribution_has_its_own_alone(self, data_dir, mirror):
        mirror.publish("forky", FIXED)
        mirror.os_release["ID"] = "ubuntu"
        assert registry_program.find_or_fetch(data_dir).version == OLD

    def test_nothing_at_all(self, data_dir, mirror):
        shutil.rmtree(mirror.folder / "dists")
        with pytest.raises(Problem, match="install Debian's or Ubuntu's package docker-registry"):
            registry.find_or_install(data_dir)
        mirror.publish("bookworm", OLD)
        assert registry.find_or_install(data_dir).exists(), "the next start tries again at once"

    def test_without_apt(self, data_dir, path, capsys):
        for name in ("apt-get", "dpkg", "dpkg-deb"):
            (path / name).unlink()
        assert registry_program.find_or_fetch(data_dir) is None
        assert "Downloading" not in capsys.readouterr().out, "nothing is"

    def test_several_that_want_it_at_once(self, data_dir, mirror, path):
        """One of them fetches it, and the others wait for that."""
        mirror.publish("forky", FIXED)
        real = (path / "apt-get").readlink()
        script(path, "apt-get", f'case "$*" in *download*) echo >> {data_dir}/downloads;; esac\nexec {real} "$@"')
        together = threading.Barrier(4)

        def find(_number):
            together.wait()
            return registry_program.find_or_fetch(data_dir).version

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(find, range(4))) == {FIXED}
        assert (data_dir / "downloads").read_text() == "\n"

    def test_a_mirror_that_falls_silent(self, data_dir, mirror, path, monkeypatch):
        first = script(data_dir / "registry" / "programs" / OLD / "usr" / "bin", "docker-registry", "echo x 2.8.2+ds1")
        real = (path / "apt-get").readlink()
        pid = data_dir / "pid"
        script(
            path, "apt-get", f'case "$*" in *update*) echo $$ > {pid}; exec tail -f /dev/null;; esac\nexec {real} "$@"'
        )
        monkeypatch.setattr(registry_package, "ATTEMPT_SECONDS", 2.0)
        assert registry_program.find_or_fetch(data_dir).path == first
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)

    def test_somebody_stops_it(self, data_dir, mirror):
        mirror.publish("forky", FIXED)
        assert registry_program.find_or_fetch(data_dir, lambda: True) is None
        assert not (data_dir / "registry" / "package.tried").exists()


class TestUpgrading:
    @pytest.fixture(params=["package", f"programs/{OLD}"])
    def older(self, request, data_dir, mirror):
        """What an earlier start unpacked, in the present layout and the one before."""
        folder = data_dir / "registry" / request.param
        program = script(folder / "usr" / "bin", "docker-registry", "echo registry x 2.8.2+ds1")
        return folder, program

    def test_an_older_one_is_replaced(self, data_dir, mirror, older):
        mirror.publish("forky", FIXED)
        found = registry_program.find_or_fetch(data_dir)
        assert found.version == FIXED
        assert not older[0].exists()

    def test_without_a_network_the_older_one_runs_and_it_is_tried_once_a_day(self, data_dir, mirror, older, capsys):
        shutil.rmtree(mirror.folder / "dists")
        assert registry_program.find_or_fetch(data_dir).path == older[1]
        assert "No package with the fix could be downloaded" in capsys.readouterr().out
        mirror.publish("forky", FIXED)
        assert registry_program.find_or_fetch(data_dir).path == older[1]
        assert not capsys.readouterr().out
        yesterday = time.time() - 24 * 3600
        os.utime(data_dir / "registry" / "package.tried", (yesterday, yesterday))
        assert registry_program.find_or_fetch(data_dir).version == FIXED

    def test_killed_in_the_middle_it_begins_anew(self, data_dir, mirror, older, path, tmp_path):
        """Killed at each step in turn; what runs is the older one whole or the new one whole."""
        mirror.publish("forky", FIXED)
        code = (
            "import os, signal, sys, pathlib, platform, shutil, time\n"
            "from console.local import registry_package, registry_program\n"
            "platform.freedesktop_os_release = lambda: {'ID': 'debian', 'VERSION_CODENAME': 'bookworm'}\n"
            f"registry_package.KEYRINGS = (pathlib.Path({str(mirror.keyring)!r}),)\n"
            "steps = {'download': (registry_package.Fetcher, 'from_later_release'),\n"
            "         'unpack': (registry_package.Fetcher, 'unpack'), 'rename': (pathlib.Path, 'rename')}\n"
            "owner, name = steps[sys.argv[2]]\n"
            "real = getattr(owner, name)\n"
            "def killed(*arguments, **named):\n"
            "    real(*arguments, **named)\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "setattr(owner, name, killed)\n"
            "registry_program.find_or_fetch(pathlib.Path(sys.argv[1]))\n"
        )
        for step, expected in (("download", None), ("unpack", None), ("rename", FIXED)):
            ended = subprocess.run([sys.executable, "-c", code, str(data_dir), step], cwd=BASE_DIR, capture_output=True)
            assert ended.returncode == -signal.SIGKILL, ended.stderr
            found = registry_program.find(data_dir)
            assert found.version == expected if expected else found.path == older[1]
        assert registry_program.find_or_fetch(data_dir).version == FIXED

    def test_an_older_one_on_the_path(self, data_dir, mirror, path):
        on_path = script(path, "docker-registry", "echo docker-registry github.com/docker/distribution 2.8.2+ds1")
        assert registry_program.find_or_fetch(data_dir).path == on_path
        (data_dir / "registry" / "package.tried").unlink()
        mirror.publish("forky", FIXED)
        assert registry_program.find_or_fetch(data_dir).version == FIXED


class TestOnThePath:
    def test_which(self, path, data_dir):
        second = script(path, "docker-registry")
        assert registry.find_or_install(data_dir) == second
        first = script(path, "registry")
        assert registry.find_or_install(data_dir) == first

    @pytest.mark.parametrize(
        ("says", "version", "fixed"),
        [
            ("registry github.com/distribution/distribution/v3 v3.1.1", "3.1.1", True),
            ("registry github.com/distribution/distribution/v3 3.1.0", "3.1.0", True),
            ("registry github.com/distribution/distribution/v3 v3.0.0", "3.0.0", False),
            ("something else", "", False),
            ("registry github.com/docker/distribution v2.8.3", "2.8.3", False),
        ],
    )
    def test_what_is_known_of_it(self, path, data_dir, says, version, fixed):
        program = script(path, "registry", f"echo {says}")
        assert registry_program.find(data_dir) == registry_program.Registry(program, version, fixed)

    def test_a_3_is_somebodys_choice(self, path, data_dir, mirror):
        mirror.publish("forky", FIXED)
        program = script(path, "registry", "echo registry github.com/distribution/distribution/v3 v3.0.0")
        assert registry_program.find_or_fetch(data_dir) == registry_program.Registry(program, "3.0.0", False)

    def test_another_file_under_the_same_name(self, path, data_dir):
        script(path, "registry", "echo registry x 3.0.0")
        assert not registry_program.find(data_dir).fixed
        program = script(path, "registry", "echo registry x 3.1.0")
        os.utime(program, ns=(1, 1))
        assert registry_program.find(data_dir).fixed


def test_the_start_says_it(stack):
    said = re.search(
        r"^Registry: CNCF Distribution (\S+), (has|does not have) the fix for CVE", stack.log(), re.MULTILINE
    )
    running = Path(f"/proc/{stack.pid_of('registry')}/exe").resolve()
    known = registry_program._known(running)
    assert (said[1], said[2] == "has") == (known.version, known.fixed)


@pytest.mark.parametrize("child", ["registry", "inner registry", "postgres"])
def test_what_is_none_of_their_business_is_kept_from_them(stack, child):
    entries = Path(f"/proc/{stack.pid_of(child)}/environ").read_bytes().split(b"\0")
    given = dict(entry.decode().partition("=")[::2] for entry in entries if entry)
    assert given == registry.clean_environment(given)
    assert not {"DATA_DIR", "REGISTRY_PORT", "POSTGRES_OPTIONS"} & given.keys()
