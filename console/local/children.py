"""Child process of the supervisor: runs in its own process group, is restarted, and is stopped with its group."""

from __future__ import annotations

import contextlib
import math
import os
import pwd
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from console.installation.environment import BASE_DIR
from console.local import linux
from console.local.log import follow

# A child that ran at least this long is restarted immediately; one that dies sooner with exponential backoff.
_SETTLED_SECONDS = 20.0
_LONGEST_WAIT = 10.0
# Signal to the worker to reconcile the index with the registry.
RECONCILE_SIGNAL = signal.SIGUSR1


@dataclass
class Child:
    """A program of the supervisor, and its current process.

    :param ready: readiness check; called repeatedly after a start.
    :param stop_signal: signal for a graceful stop.
    :param patience: seconds that a stop of everything waits for it at most, before it is killed.
    :param reads_keys: whether it must be restarted after a rotation of the signing key, if that is requested.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ready: Callable[[], bool]
    stop_signal: signal.Signals = signal.SIGTERM
    user: pwd.struct_passwd | None = None
    plain: tuple[str, ...] = ()
    silent: re.Pattern[str] | None = None
    reads_keys: bool = False
    patience: float = math.inf
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    started_at: float = 0.0
    retry_at: float | None = None
    _log: threading.Thread | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start the process. It dies with the supervisor (parent-death signal)."""
        self.process = subprocess.Popen(
            list(self.command),
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=self.user.pw_uid if self.user else None,
            group=self.user.pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
            cwd="/" if self.user else BASE_DIR,
            preexec_fn=linux.die_with_parent(self.stop_signal),
        )
        self.started_at = time.monotonic()
        self.retry_at = None
        if self.process.stdout is not None:
            self._log = follow(self.process.stdout, self.name, self.plain, self.silent)

    @property
    def running(self) -> bool:
        """Whether its process is alive."""
        return self.process is not None and self.process.poll() is None

    def died(self) -> str:
        """How its process ended, in words."""
        code = self.process.returncode if self.process is not None else None
        if code is None:
            return "has not started"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def plan_restart(self) -> float:
        """Kill the rest of its process group, and plan the restart; returns the backoff in seconds."""
        if self.process is not None:
            linux.signal_group(self.process.pid, signal.SIGKILL)
        if time.monotonic() - self.started_at >= _SETTLED_SECONDS:
            self.failures = 0
        wait = 0.0 if not self.failures else min(_LONGEST_WAIT, 0.5 * 2**self.failures)
        self.failures += 1
        self.retry_at = time.monotonic() + wait
        return wait

    @property
    def due(self) -> bool:
        """Whether it died, a restart is planned, and the backoff is over."""
        return self.retry_at is not None and time.monotonic() >= self.retry_at

    def stop(self, seconds: float = 1.0) -> None:
        """Stop it gracefully, wait at most ``seconds``, then kill it."""
        self.ask_to_stop()
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        self.kill_rest()

    def ask_to_stop(self) -> None:
        """Send the signal for a graceful stop."""
        self.send(self.stop_signal)

    def send(self, number: signal.Signals) -> None:
        """Send its process a signal, if it has one."""
        if self.running and self.process is not None:
            os.kill(self.process.pid, number)

    def kill_rest(self) -> None:
        """Kill the rest of its process group, and finish its log."""
        if self.process is None:
            return
        linux.signal_group(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self._log is not None:
            self._log.join(timeout=1)
