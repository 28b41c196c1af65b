"""Which packages ``.ci/tools`` asks for, on releases that name them differently. Nothing is installed."""

import os
import shutil
import subprocess

import pytest

from console.installation.environment import BASE_DIR

BOOKWORM = ["buildah", "chromium", "docker.io", "libnss3-tools", "nginx", "podman", "skopeo"]
TRIXIE = ["buildah", "chromium", "docker.io", "docker-cli", "libnss3-tools", "nginx", "podman", "skopeo"]
PROGRAMS = ("buildah", "certutil", "chromium", "dockerd", "docker", "nginx", "podman", "skopeo")


@pytest.fixture
def machine(tmp_path):
    """Runs it as an ordinary user with these programs and these packages; the exit code, and what it says."""

    def script(name, text):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(*programs, known=()):
        for name in ("bash", "sort"):
            (tmp_path / name).symlink_to(shutil.which(name))
        script("uname", "echo Linux")
        script("id", "echo 1000")
        script("apt-get", "exit 100")
        # What apt-cache prints of a package: much after the candidate, and nothing of one that it does not know.
        lines = "echo; ".join(("", *("echo '     500 file /var/lib/dpkg/status'; " for _ in range(50))))
        cases = " ".join(f"{name}) echo '{name}:'; echo '  Candidate: 1.0'; {lines};;" for name in known)
        script("apt-cache", f'case "$2" in {cases} esac' if known else ":")
        for name in programs:
            script(name, ":")
        result = subprocess.run(
            [shutil.which("bash"), BASE_DIR / ".ci" / "tools"],
            env={**os.environ, "PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, result.stderr.strip()

    return run


def without(name):
    return [one for one in PROGRAMS if one != name]


@pytest.mark.parametrize(
    ("known", "package"),
    [(BOOKWORM, "docker.io"), (TRIXIE, "docker-cli"), ([], "docker-cli")],
    ids=["Debian 12", "Debian 13", "no package lists"],
)
def test_the_docker_client(machine, known, package):
    code, said = machine(*without("docker"), known=known)
    assert (code, said) == (1, f"The tests need {package}. As root, run: apt-get install {package}")


def test_one_package_for_two_programs(machine):
    code, said = machine("buildah", "certutil", "chromium-browser", "nginx", "podman", "skopeo", known=BOOKWORM)
    assert code == 1
    assert said.endswith("apt-get install docker.io")


def test_nothing_is_missing(machine):
    assert machine(*PROGRAMS, known=TRIXIE) == (0, "")
