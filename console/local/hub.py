"""``python -m console.local.hub``: serves the cache of Docker Hub's official images, also without Internet.

The caching registry exits if its upstream does not answer at its start, waits without timeout for an upstream that
stops answering later, and still evicts content that it cannot fetch again. So during an outage of the upstream a plain
registry serves the cached content at the same socket, behind the edge.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from types import FrameType

from console.installation.environment import Environment, EnvironmentProblem, load
from console.installation.keys import ensure_keys
from console.local import hub_configuration, linux, registry, registry_program, sockets
from console.local.log import say
from console.local.problems import Problem
from console.local.storage import remove_half_written
from console.local.storage_repair import repair_links, repair_schedule, repair_tags

_POLL_SECONDS = 0.1
_ASK_SECONDS = 5
# Timeout of the first check: cached content can be served meanwhile.
_FIRST_SECONDS = 2.0
# Longest time until an upstream that did not answer is checked again; and how many failures in a row are an outage.
_SOON_SECONDS = 10.0
_FAILURES = 3
# If a caching process exits sooner than this, its upstream is not usable.
_SETTLED_SECONDS = 5.0


def answers(upstream: str) -> bool:
    """Health check of the registry at ``upstream`` (Distribution specification, "API version check").

    Uses the proxy in the environment, as the registry's program does. A rate limit (429) or a server error (5xx) counts
    as an outage.
    """
    try:
        with urllib.request.urlopen(f"{upstream}/v2/", timeout=_ASK_SECONDS) as response:  # noqa: S310  # nosec B310
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        return error.code == 401
    except (OSError, ValueError, http.client.HTTPException):
        return False  # not HTTP: the answer of something else in between


class Upstream:
    """State of the upstream: unavailable after several failed checks in a row."""

    def __init__(self, address: str, seconds: float) -> None:
        self.address = address
        self.seconds = seconds
        self.available = False
        self.asked = threading.Event()
        self._failures = 0

    def ask(self) -> float:
        """Check once; returns the seconds until the next check."""
        good = answers(self.address)
        self._failures = 0 if good else self._failures + 1
        self.available = good or (self.available and self._failures < _FAILURES)
        self.asked.set()
        return self.seconds if good else min(self.seconds, _SOON_SECONDS)

    def watch(self) -> None:
        """Check periodically in a separate thread: a DNS lookup can take longer than a stop may."""
        threading.Thread(target=self._run, name="upstream", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(self.ask())


class Cache:
    """The registry process at the cache's socket: a caching one, or a plain one during an outage."""

    def __init__(self, environment: Environment) -> None:
        keys = ensure_keys(environment.data_dir)
        folder = hub_configuration.folder(environment)
        plain = hub_configuration.plain(environment, keys, environment.dockerhub_port)
        caching = hub_configuration.caching(environment, keys, credentials=_gets_credentials(environment))
        self.environment = environment
        socket = sockets.dockerhub(environment)
        self.configurations = {
            True: registry.write_config(folder / "caching.yml", registry.on_socket(caching, socket)),
            False: registry.write_config(folder / "plain.yml", registry.on_socket(plain, socket)),
        }
        self.data = folder / "data"
        self.process: subprocess.Popen[bytes] | None = None
        # The process of an earlier run may have been killed while writing a file.
        self.to_repair = True
        self.caching = False
        self.started_at = self.plain_until = 0.0

    def ensure_running(self, upstream_available: bool) -> None:
        """Ensure that a process of the required kind is running; one of the other kind is stopped first.

        :raises Problem: when there is no program to run, or the plain registry has exited.
        """
        now = time.monotonic()
        ended = self.process is not None and self.process.poll() is not None
        if ended and not self.caching:
            raise Problem("The registry that serves the cached images has exited; the lines above may say why.")
        if ended and now - self.started_at < _SETTLED_SECONDS:
            self.plain_until = now + min(self.environment.dockerhub_check_seconds, _SOON_SECONDS)
        caching = upstream_available and now >= self.plain_until
        if self.process is None or ended or caching != self.caching:
            self.to_repair |= ended
            self.stop()
            self._repair()
            self._start(caching)

    def _repair(self) -> None:
        """Repair the cache's storage if a process may have been killed while writing. None may be running."""
        if not self.to_repair:
            return
        self.to_repair = False
        repaired = remove_half_written(self.data) + repair_tags(self.data) + repair_links(self.data, time.time())
        repaired += repair_schedule(self.data)
        if repaired:
            say(f"Repaired {repaired} files of the Docker Hub cache that a killed process had truncated.")

    def _start(self, caching: bool) -> None:
        upstream = self.environment.dockerhub_upstream
        away = f"Can't reach {upstream}: only cached official images are served."
        say(f"Official images are pulled from {upstream}." if caching else away)
        program = registry.choose(self.environment, self.configurations[caching], "hub")
        self.process = subprocess.Popen(
            program.command,
            env=registry.clean_environment(os.environ),
            stdin=subprocess.DEVNULL,
            preexec_fn=linux.die_with_parent(signal.SIGTERM),
        )
        self.caching, self.started_at = caching, time.monotonic()

    def stop(self) -> None:
        """Stop the process gracefully."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(hub_configuration.DRAIN_SECONDS + 1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.to_repair = True


def _gets_credentials(environment: Environment) -> bool:
    """Whether the caching registry gets ``DOCKERHUB_USERNAME``; logs a message if not, or if that is risky."""
    program = registry_program.find(environment.data_dir)
    given = hub_configuration.gets_credentials(environment, program)
    risk = hub_configuration.credentials_at_risk(environment, program)
    if risk and given:
        say(f"Warning: the cache uses DOCKERHUB_USERNAME and DOCKERHUB_PASSWORD, although {risk}.")
    elif risk:
        say(f"The cache does not use DOCKERHUB_USERNAME and DOCKERHUB_PASSWORD: {risk}.")
    return given


def _on_signal(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> int:
    """Serve until a signal to stop; returns the exit code."""
    signal.signal(signal.SIGTERM, _on_signal)
    signal.signal(signal.SIGINT, _on_signal)
    try:
        environment = load()
        cache = Cache(environment)
        upstream = Upstream(environment.dockerhub_upstream, environment.dockerhub_check_seconds)
        upstream.watch()
        upstream.asked.wait(_FIRST_SECONDS)
        try:
            while True:
                cache.ensure_running(upstream.available)
                time.sleep(_POLL_SECONDS)
        finally:
            cache.stop()
    except (Problem, EnvironmentProblem) as problem:
        say(str(problem))
        return 1


if __name__ == "__main__":
    sys.exit(main())
