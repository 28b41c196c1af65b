"""The faults: what is done to a running installation, each by a name."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable

import psutil
import psycopg

from console.installation.environment import socket_dir
from tests.support.small_disk import SmallDisk
from tests.support.stack import Stack, wait_until


class Harm:
    """Does harm to ``stack``.

    :param seconds: how long the database is held; a lock and a slow registry last a third of that.
    :param busy: waits until the load has gone on for a bit.
    """

    def __init__(
        self, stack: Stack, disk: SmallDisk, chance: random.Random, seconds: float, busy: Callable[[], None]
    ) -> None:
        self.stack, self.disk, self.random, self.seconds, self.busy = stack, disk, chance, seconds, busy
        self.faults: dict[str, Callable[[], None]] = {
            "kill the edge": lambda: self.kill("edge"),
            "kill a web worker": self.kill_web_worker,
            "kill the web master": lambda: self.kill("console"),
            "kill the job worker": lambda: self.kill("worker"),
            "kill the registry": lambda: self.kill("registry"),
            "kill the inner registry": lambda: self.kill("inner registry"),
            "kill the database": lambda: self.kill("postgres"),
            "kill a database backend": self.kill_backend,
            "kill the supervisor": self.kill_supervisor,
            "fill the disk": self.fill_disk,
            "hold the database": self.hold_database,
            "lock tables": self.lock_tables,
            "slow the registry": self.slow_registry,
        }

    def _pid(self, name: str) -> int:
        """The number of a part's process, which may just be being started again."""
        return wait_until(lambda: self._alive(name), f"the {name} runs", 60)

    def _alive(self, name: str) -> int:
        try:
            pid = self.stack.children()[name]
            return pid if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE else 0
        except (KeyError, OSError, ValueError, psutil.NoSuchProcess):
            return 0

    def kill(self, name: str) -> None:
        """Kill a part, and wait until the supervisor has started it again."""
        pid = self._pid(name)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self._alive(name) not in {0, pid}, f"the {name} is started again", 60)

    def kill_web_worker(self) -> None:
        """One of the processes that serve pages and tokens."""
        master = psutil.Process(self._pid("console"))
        workers = wait_until(master.children, "the console has workers")
        self.random.choice(workers).kill()

    def kill_backend(self) -> None:
        """One of PostgreSQL's processes; the server then ends all others and recovers."""
        server = psutil.Process(self._pid("postgres"))

        def backends() -> list[psutil.Process]:
            found = []
            for child in server.children():
                try:
                    if "my_images" in " ".join(child.cmdline()):
                        found.append(child)
                except psutil.Error:
                    continue
            return found

        self.random.choice(wait_until(backends, "somebody is connected to the database")).kill()

    def kill_supervisor(self) -> None:
        """What was typed, and then it is typed again."""
        self.stack.signal(signal.SIGKILL)
        self.stack.wait()
        self.stack.start()

    def fill_disk(self) -> None:
        """Little room, then none at all, then a few blocks, as a log that is rotated may leave them."""
        try:
            for spare in (30_000_000, 0, self.random.choice([4096, 65536, 1_000_000]), 0):
                self.disk.fill(spare)
                self.busy()
        finally:
            self.disk.room()

    def hold_database(self) -> None:
        """PostgreSQL's processes stand still, as behind a disk or a network that hangs."""
        server = psutil.Process(self._pid("postgres"))
        stopped = []
        try:
            for process in [server, *server.children(recursive=True)]:
                try:
                    process.suspend()
                    stopped.append(process)
                except psutil.NoSuchProcess:
                    continue
            self._while(self.seconds)
        finally:
            for process in stopped:
                try:
                    process.resume()
                except psutil.NoSuchProcess:
                    continue

    def lock_tables(self) -> None:
        """Somebody else's transaction holds tables that everything needs."""
        with psycopg.connect(
            host=str(socket_dir(self.stack.data_dir.resolve())), dbname="my_images", user="postgres"
        ) as connection:
            connection.execute("SET lock_timeout = '60s'")
            connection.execute("LOCK TABLE images_image, images_tag, procrastinate_jobs IN ACCESS EXCLUSIVE MODE")
            self._while(self.seconds / 3)
            connection.rollback()

    def slow_registry(self) -> None:
        """The registry's processes get little time: they stand still nine tenths of it."""
        over = threading.Event()
        timer = threading.Timer(self.seconds / 3, over.set)
        timer.start()
        while not over.is_set():
            for number, moment in ((signal.SIGSTOP, 0.27), (signal.SIGCONT, 0.03)):
                for name in ("registry", "inner registry"):
                    if pid := self._alive(name):
                        os.kill(pid, number)
                over.wait(moment)
        for name in ("registry", "inner registry"):
            if pid := self._alive(name):
                os.kill(pid, signal.SIGCONT)

    def _while(self, seconds: float) -> None:
        """Let the fault last."""
        threading.Event().wait(seconds)
