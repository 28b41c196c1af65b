"""A registry in place of Docker Hub, and the cache of it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests
from django.conf import settings

from console.installation import environment
from console.installation.environment import BASE_DIR
from console.local import registry as bundled
from console.local import sockets
from console.registry.signing import console_token
from registry_client import RegistryClient, SignedTokens
from tests.support import edge
from tests.support.ports import free_port
from tests.support.stack import wait_until


class Anonymous:
    """No credentials."""

    def authorization(self, scopes, challenge):
        return None


class Upstream:
    """A registry without authentication in place of Docker Hub; it can be filled, stopped and restarted."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program, self.folder, self.port = program, folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        content = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{self.port}"},
        }
        config = bundled.write_config(self.folder / "config.yml", content)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.program), "serve", str(config)],
                stdout=log, stderr=subprocess.STDOUT, env=bundled.clean_environment(os.environ),
            )  # fmt: skip
        wait_until(lambda: answers(self.url) == 200, "the upstream answers")

    def stop(self) -> None:
        """Stop it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def client(self) -> RegistryClient:
        """A client that can push to it."""
        return RegistryClient(self.url, Anonymous(), retries=1)


class Cache:
    """The cache's launcher without the rest of the product; it accepts tokens that the tests sign."""

    def __init__(self, program: Path, folder: Path, upstream: str, **variables: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "keys").symlink_to(settings.KEYS.folder)
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
            "DATA_DIR": str(folder),
            "DOCKERHUB_PORT": str(self.port),
            "DOCKERHUB_UPSTREAM": upstream,
            "DOCKERHUB_CHECK_SECONDS": "0.2",
            **variables,
        }
        self.lines: list[str] = []
        self._seen = 0
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it behind the edge, and wait until it answers."""
        given = environment.load(self.environment)
        sockets.make_folder(given)
        self._stop = ExitStack()
        self._stop.callback(shutil.rmtree, given.service_sockets, ignore_errors=True)
        self._stop.enter_context(edge.running(given, edge.alone(given, "dockerhub")))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "console.local.hub"],
            cwd=BASE_DIR,
            env=self.environment,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_until(lambda: answers(self.url) == 401, "the cache answers")

    def _read(self) -> None:
        for raw in self.process.stdout:
            self.lines.append(raw.decode(errors="replace").rstrip())

    def wait_for_line(self, text: str) -> None:
        """Wait until it prints a line with ``text``, after the last line found in this way."""

        def look():
            for number, line in enumerate(self.lines[self._seen :], start=self._seen):
                if text in line:
                    self._seen = number + 1
                    return True
            return False

        wait_until(look, f"{text} after line {self._seen} of {self.lines}")

    def wait_until_it_holds(self, repository: str, digests: list[str]) -> None:
        """Wait until its storage has these blobs."""
        wait_until_held(self.folder, repository, digests)

    def registry_pid(self) -> int | None:
        """The PID of its current registry process, if any."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def stop(self) -> int | None:
        """Stop it; returns its exit code."""
        if self.process is None:
            return None
        self.process.terminate()
        code = self.process.wait(10)
        self._reader.join(5)
        self.process.stdout.close()
        self.process = None
        self._stop.close()
        return code

    def client(self, service: str = "") -> RegistryClient:
        """A client with the console's own token for it, or for another service."""
        sign = functools.partial(console_token, service=service or settings.DOCKERHUB_SERVICE)
        return RegistryClient(self.url, SignedTokens(sign), retries=0)


def wait_until_held(data_dir: Path, repository: str, digests: list[str]) -> None:
    """Wait until the cache's storage has these blobs: it stores them a moment after the response."""
    links = data_dir / "dockerhub" / "data" / "docker" / "registry" / "v2" / "repositories" / repository / "_layers"
    wait_until(
        lambda: all((links / digest.replace(":", "/") / "link").exists() for digest in digests),
        f"{repository} is cached",
    )


def answers(url: str) -> int:
    """The status of a registry's response; 0 if there is none."""
    try:
        return requests.get(f"{url}/v2/", timeout=5).status_code
    except (requests.ConnectionError, requests.Timeout):
        return 0


@contextmanager
def running(thing):
    """Start it, and stop it at the end."""
    try:
        thing.start()
        yield thing
    finally:
        thing.stop()
