"""Supervisor: starts the child processes in order, restarts them, stops them in order."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from console.installation.environment import RESTART_REQUEST
from console.local import orphans
from console.local.children import LOOK_AGAIN_SIGNAL, Child
from console.local.log import LOG, say
from console.local.problems import Problem

_POLL_SECONDS = 0.05
START_SECONDS = 60.0
# A database that was killed replays its log first, which takes minutes after heavy writing or on a slow disk.
RECOVERY_SECONDS = 1800.0
# After this long a wait is mentioned, once.
NOTICE_SECONDS = 10.0
# All of a stop must fit into ten seconds: each child in turn gets what is left of nine.
STOP_SECONDS = 9.0
HURRIED_SECONDS = 1.5
# A registry that is started again may end what it has begun for so long.
RESTART_SECONDS = 5.0


class Stopped(Exception):
    """A signal asked us to stop while something was being waited for."""


class Supervisor:
    """Owns the children. Everything happens in the main thread: the kernel ties a child's life to its thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: list[Child] = []
        self.signals = 0
        # Called when what reads the registries' keys has been started again.
        self.keys_read: Callable[[], None] = lambda: None
        self._recorded = True

    def listen(self) -> None:
        """Take SIGINT, SIGTERM and SIGHUP as the wish to stop; a second one as the wish to hurry."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        # The children begin with that: a worker that does not listen to it yet would be killed by it. It looks at
        # everything as it starts.
        signal.signal(LOOK_AGAIN_SIGNAL, signal.SIG_IGN)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.signals += 1

    def wait_for(self, condition: Callable[[], bool], children: list[Child], seconds: float = START_SECONDS) -> None:
        """Wait until ``condition`` holds. A long wait is mentioned once.

        :raises Stopped: when a signal arrives meanwhile.
        :raises Problem: when one of ``children`` dies, or the time is over.
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
                raise Problem(f"The {names} did not start within {seconds:.0f} seconds; the lines above may say why.")
            time.sleep(_POLL_SECONDS)

    def start(self, child: Child) -> None:
        """Start a child and put it on record; it is not waited for."""
        if self.signals:
            raise Stopped
        self.children.append(child)
        child.start()
        orphans.record(self.folder, self.children)

    def run_once(self, child: Child) -> None:
        """Run something that ends by itself.

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

    def watch(self, look: Callable[[], bool] = lambda: False) -> None:
        """Start again what dies, until a signal arrives.

        :param look: called in each round; whether it has started something anew.
        """
        while not self.signals:
            started = look()
            for child in self.children:
                started |= self._look_at(child)
            started |= self._restart_as_asked()
            if started or not self._recorded:
                self._record()
            LOG.tell_left_out()
            time.sleep(_POLL_SECONDS)

    def _restart_as_asked(self) -> bool:
        """Start again, one after another, what reads the registries' keys, when there is a file that asks for it.

        :return: whether something was.
        """
        request = self.folder / RESTART_REQUEST
        if not request.exists():
            return False
        for child in self.children:
            if child.reads_keys and child.running:
                say(f"The {child.name} restarts to read its keys.")
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

    def _look_at(self, child: Child) -> bool:
        if child.running:
            return False
        if child.retry_at is None:
            wait = child.plan_restart()
            when = f"in {wait:.0f} s" if wait >= 1 else "now"
            say(f"The {child.name} {child.died()}. It restarts {when}.")
        elif child.due:
            child.start()
            return True
        return False

    def _record(self) -> None:
        """Put the children on record, now or, on a full disk, in a later round: that must not end everything."""
        try:
            orphans.record(self.folder, self.children)
        except OSError:
            self._recorded = False
        else:
            self._recorded = True

    def stop(self) -> None:
        """Stop the children in reverse order, each whole, within ``STOP_SECONDS`` altogether."""
        seen = self.signals
        deadline = time.monotonic() + STOP_SECONDS
        for position, child in enumerate(reversed(self.children)):
            left = len(self.children) - position - 1
            child.ask_to_stop()
            # Those still to come keep a second each.
            until = deadline - left
            while child.running and time.monotonic() < until:
                if self.signals > seen:
                    until = min(until, time.monotonic() + HURRIED_SECONDS)
                    seen = self.signals
                time.sleep(_POLL_SECONDS)
            if child.running:
                say(f"The {child.name} did not stop in time and was killed.")
            child.kill_rest()
        (self.folder / "children.json").unlink(missing_ok=True)
