"""A private Docker Engine and skopeo: real clients of the registry."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

from tests.support.stack import wait_until


def layer(files: dict[str, bytes]) -> bytes:
    """A tar archive that ``docker import`` takes as the one layer of an image."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


class Command:
    """A program with its own environment."""

    def __init__(self, program: list[str], environment: dict[str, str]) -> None:
        self.program = program
        self.environment = environment

    def __call__(self, *arguments: str, input: str | bytes = b"", fails: bool = False) -> str:
        """Run it; what it prints on both outputs. It must succeed, or fail when ``fails``."""
        result = subprocess.run(
            [*self.program, *arguments],
            env=self.environment,
            input=input.encode() if isinstance(input, str) else input,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=180,
            check=False,
        )
        out = result.stdout.decode(errors="replace")
        assert bool(result.returncode) == fails, f"{' '.join(arguments)}: exit {result.returncode}\n{out}"
        return out


def with_mounts() -> list[str]:
    """The start of a command line that gives ``dockerd`` the mounts that a bare chroot lacks.

    It does not start without cgroups, and unpacks no layer where ``/`` is no mount point. Both are made for it alone,
    in its own mount namespace and below ``/sys``, which is private there: nothing of it gets outside.
    """
    points = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    if {"/", "/sys/fs/cgroup"} <= points or "/sys" not in points:
        return []
    steps = ["mount --make-rprivate /sys", "mount --rbind / /sys/kernel"]
    if "/sys/fs/cgroup" not in points:
        steps.append("mount -t cgroup2 cgroup2 /sys/kernel/sys/fs/cgroup")
    steps.append('exec chroot /sys/kernel "$@"')
    return ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", " && ".join(steps), "sh"]


class Docker:
    """``dockerd`` with a folder of its own: it builds nothing and runs nothing, it imports, pushes and pulls.

    :param options: further ones of ``dockerd``.
    """

    def __init__(self, *options: str) -> None:
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="my-images-docker-"))
        self.socket = f"unix://{self.folder}/docker.sock"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        program = shutil.which("dockerd") or "/usr/sbin/dockerd"
        log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(
            [
                *with_mounts(),
                program,
                "--iptables=false",
                "--ip6tables=false",
                "--bridge=none",
                "--storage-driver=vfs",
                f"--data-root={self.folder}/data",
                f"--exec-root={self.folder}/exec",
                f"--pidfile={self.folder}/pid",
                "-H",
                self.socket,
                *self.options,
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        probe = self.client(self.folder / "client")

        def answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            return (
                subprocess.run(
                    [*probe.program, "version"], env=probe.environment, capture_output=True, check=False
                ).returncode
                == 0
            )

        wait_until(answers, "the Docker Engine answers", 60)

    def client(self, config: Path) -> Command:
        """The command line client with its own credentials."""
        config.mkdir(parents=True, exist_ok=True)
        variables = {**os.environ, "DOCKER_CONFIG": str(config), "DOCKER_HOST": self.socket}
        return Command([shutil.which("docker") or "docker"], variables)

    def stop(self) -> None:
        """Stop it with all that it started and remove its folder."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Skopeo(Command):
    """skopeo with its own credentials, over plain HTTP."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        environment = {**os.environ, "REGISTRY_AUTH_FILE": str(folder / "auth.json")}
        super().__init__([shutil.which("skopeo") or "skopeo", "--insecure-policy"], environment)

    def login(self, address: str, username: str, password: str, *, fails: bool = False) -> str:
        """``skopeo login``."""
        return self(
            "login", "--tls-verify=false", f"--username={username}", "--password-stdin", address,
            input=password, fails=fails,
        )  # fmt: skip

    def copy(self, source: str, target: str, *, fails: bool = False) -> str:
        """``skopeo copy``."""
        return self("copy", "--src-tls-verify=false", "--dest-tls-verify=false", source, target, fails=fails)

    def inspect(self, image: str) -> dict:
        """``skopeo inspect --raw``."""
        return json.loads(self("inspect", "--tls-verify=false", "--raw", image))


@pytest.fixture(scope="session")
def docker_daemon():
    """A private Docker Engine."""
    engine = Docker()
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()


@pytest.fixture
def docker(docker_daemon, tmp_path):
    """The Docker client, logged in nowhere, with the private engine behind it."""
    return docker_daemon.client(tmp_path / "docker")


@pytest.fixture
def skopeo(tmp_path):
    """skopeo, logged in nowhere."""
    return Skopeo(tmp_path / "skopeo")
