"""Supervisor: starts the child processes in order, restarts them, stops them in order."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from console.installation.environment import RESTART_REQUEST
from console.local import orphans
from console.local.children import RECONCILE_SIGNAL, Child
from console.local.log import LOG, say
from console.local.problems import Problem

_POLL_SECONDS = 0.05
START_SECONDS = 60.0
# Timeout of crash recovery: a killed database replays its log, which takes minutes after heavy writing.
RECOVERY_SECONDS = 1800.0
# A longer wait is logged once.
NOTICE_SECONDS = 10.0
# A stop must take less than ten seconds in total.
STOP_SECONDS = 9.0
HURRIED_SECONDS = 1.5
# Timeout of a registry's graceful stop before a restart.
RESTART_SECONDS = 5.0


class Stopped(Exception):
    """A signal to stop arrived during a wait."""


class Supervisor:
    """Owns the child processes. Uses only the main thread: the parent-death signal depends on the thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: list[Child] = []
        self.signals = 0
        # Called after the restart of all children that read the registries' keys.
        self.keys_read: Callable[[], None] = lambda: None
        self._recorded = True

    def listen(self) -> None:
        """Handle SIGINT, SIGTERM and SIGHUP as a request to stop; a second signal shortens the timeouts."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        # Children inherit this: otherwise the signal would kill a worker that has not installed its handler yet. A
        # starting worker reconciles anyway.
        signal.signal(RECONCILE_SIGNAL, signal.SIG_IGN)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.signals += 1

    def wait_for(self, condition: Callable[[], bool], children: list[Child], seconds: float = START_SECONDS) -> None:
        """Wait until ``condition`` is true. A long wait is logged once.

        :raises Stopped: when a signal arrives meanwhile.
        :raises Problem: when one of ``children`` dies, or on timeout.
        """
        began = time.monotonic()
        deadline, notice_at = began + seconds, began + NOTICE_SECONDS
        names = " and ".join(child.name for child in children)
        while not condition():
            if self.signals:
                raise Stopped
            for child in children:
                if not child.running:
                    raise Problem(f"The {child.name} {child.died()} while it was starting; the lines above say why.")
            if time.monotonic() > notice_at:
                notice_at = deadline + 1
                say(f"Still waiting for the {names} ...")
            if time.monotonic() > deadline:
                raise Problem(
                    f"The {names} did not become ready within {seconds:.0f} seconds; the lines above may say why."
                )
            time.sleep(_POLL_SECONDS)

    def start(self, child: Child) -> None:
        """Start a child and record it, without waiting until it is ready."""
        if self.signals:
            raise Stopped
        self.children.append(child)
        child.start()
        orphans.record(self.folder, self.children)

    def run_once(self, child: Child) -> None:
        """Run a program until it exits.

        :raises Problem: when it fails.
        """
        if self.signals:
            raise Stopped
        child.start()
        try:
            while child.running:
                if self.signals:
                    raise Stopped
                time.sleep(_POLL_SECONDS)
        finally:
            child.kill_rest()
        if child.process is not None and child.process.returncode:
            raise Problem(f"The start could not be prepared ({child.died()}); the lines above say why.")

    def watch(self, check: Callable[[], bool] = lambda: False) -> None:
        """Restart children that die, until a signal arrives.

        :param check: called in each round; returns whether it has restarted a child.
        """
        while not self.signals:
            started = check()
            for child in self.children:
                started |= self._restart_if_dead(child)
            started |= self._restart_as_asked()
            if started or not self._recorded:
                self._record()
            LOG.report_dropped()
            time.sleep(_POLL_SECONDS)

    def _restart_as_asked(self) -> bool:
        """Restart, one after another, the children that read the registries' keys, if a file requests that.

        :return: whether any was restarted.
        """
        request = self.folder / RESTART_REQUEST
        if not request.exists():
            return False
        for child in self.children:
            if child.reads_keys and child.running:
                say(f"The {child.name} is restarted, to read its keys.")
                child.ask_to_stop()
                until = time.monotonic() + RESTART_SECONDS
                while child.running and time.monotonic() < until and not self.signals:
                    time.sleep(_POLL_SECONDS)
                child.kill_rest()
                if self.signals:
                    return True
                child.start()
                self._record()
        request.unlink(missing_ok=True)
        self.keys_read()
        return True

    def _restart_if_dead(self, child: Child) -> bool:
        if child.running:
            return False
        if child.retry_at is None:
            wait = child.plan_restart()
            when = f"in {wait:.0f} s" if wait >= 1 else "now"
            say(f"The {child.name} {child.died()}. It is restarted {when}.")
        elif child.due:
            child.start()
            return True
        return False

    def _record(self) -> None:
        """Record the children; if the disk is full, it is retried in a later round."""
        try:
            orphans.record(self.folder, self.children)
        except OSError:
            self._recorded = False
        else:
            self._recorded = True

    def stop(self) -> None:
        """Stop the children with their process groups in reverse order, within ``STOP_SECONDS`` in total."""
        seen = self.signals
        deadline = time.monotonic() + STOP_SECONDS
        for position, child in enumerate(reversed(self.children)):
            left = len(self.children) - position - 1
            child.ask_to_stop()
            # One second is reserved for each remaining child.
            until = min(deadline - left, time.monotonic() + child.patience)
            while child.running and time.monotonic() < until:
                if self.signals > seen:
                    until = min(until, time.monotonic() + HURRIED_SECONDS)
                    seen = self.signals
                time.sleep(_POLL_SECONDS)
            if child.running:
                say(f"The {child.name} did not stop in time and was killed.")
            child.kill_rest()
        (self.folder / "children.json").unlink(missing_ok=True)
