"""An installation, people who work with it, and what happens to it."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter

from tests.faults.client import Client
from tests.faults.harm import Harm
from tests.faults.ledger import Ledger
from tests.faults.load import Person
from tests.faults.proof import Proof
from tests.support.environment import FOLDER
from tests.support.small_disk import SmallDisk
from tests.support.stack import Stack, wait_until

_REGISTRY_PASSWORD = "the registry password 1"
_CONSOLE_PASSWORD = "the console password 1"
_ACCOUNTS = 3
_BUSY_OPERATIONS = 12
_SEED = """
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from console.accounts.models import RegistryCredential
from console.accounts.services import create_account
from console.namespaces.models import Namespace

for name in {names!r}:
    owner = create_account(name, None, {console!r})
    RegistryCredential.objects.create(
        account=owner, username=owner.account_id, password=make_password({registry!r}), activated_at=timezone.now()
    )
    Namespace.objects.create(owner=owner, name=name)
    print(name, owner.account_id)
"""


class _OnASmallDisk(Stack):
    """An installation whose data folder is a file system of its own."""

    def _borrow_static_files(self) -> None:
        note = FOLDER / "static.collected"
        if note.exists():
            shutil.copytree(FOLDER / "static", self.data_dir / "static")
            shutil.copy(note, self.data_dir / note.name)


class Arena:
    """Everything together. ``strike`` makes a fault and proves that it lost nothing.

    :param seed: of everything that is left to chance.
    :param disk: its size in megabytes, and its file system.
    :param seconds: how long what is held is held.
    """

    def __init__(self, registry_program, seed: int, disk: tuple[int, str], seconds: float) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.ledger = Ledger()
        self.struck: Counter = Counter()
        self.reconciled = 0
        self.people: list[Person] = []
        self.disk = SmallDisk(*disk)
        self.stack = _OnASmallDisk(
            registry_program,
            data_dir=self.disk.path,
            POSTGRES_OPTIONS="fsync=off max_wal_size=64MB min_wal_size=32MB",
            DOCKERHUB="off",
        )
        self.harm = Harm(self.stack, self.disk, self.random, seconds, self.wait_until_busy)

    def open(self) -> None:
        """Start it, with some accounts."""
        self.stack.start()
        names = [f"team{number}" for number in range(_ACCOUNTS)]
        seed = _SEED.format(names=names, console=_CONSOLE_PASSWORD, registry=_REGISTRY_PASSWORD)
        clients = {}
        for line in self.stack.manage("shell", "-v0", "-c", seed).splitlines():
            name, account = line.split()
            for number in range(2):
                client = Client(self.stack, self.ledger, account, _CONSOLE_PASSWORD, _REGISTRY_PASSWORD)
                if not number:
                    clients[name] = client
                    continue
                self.people.append(Person(len(self.people), name, client, self.ledger, self.seed))
        self.proof = Proof(self.stack, self.ledger, clients)
        for person in self.people:
            person.start()

    def close(self) -> None:
        """End it and remove everything."""
        for person in self.people:
            person.over.set()
            person.going.set()
        try:
            self.stack.stop()
        finally:
            self.disk.remove()

    def _check(self) -> None:
        for person in self.people:
            assert not person.failure, person.failure

    def go(self) -> None:
        """Let everybody work."""
        for person in self.people:
            person.resting.clear()
            person.going.set()

    def rest(self) -> None:
        """Wait until everybody has ended what they are at, and works no more."""
        for person in self.people:
            person.going.clear()
        wait_until(lambda: all(person.resting.is_set() for person in self.people), "everybody rests", 200)
        self._check()

    def wait_until_busy(self, confirmed: int = 0) -> None:
        """Wait until some more operations have ended, of which so many went well."""
        before, well = self.ledger.operations.total(), self.ledger.confirmed()

        def busy() -> bool:
            self._check()
            return (
                self.ledger.operations.total() >= before + _BUSY_OPERATIONS
                and self.ledger.confirmed() >= well + confirmed
            )

        try:
            wait_until(busy, "the load goes on", 120)
        except AssertionError as error:
            seen = dict(self.ledger.operations), dict(self.ledger.refusals)
            raise AssertionError(f"{error}: {seen}\n{self.stack.log()[-4000:]}") from None

    def strike(self, *names: str, whole: bool = False) -> None:
        """Make faults under load, one after another, each when the load goes on, and prove that nothing was lost.

        :param whole: whether all blobs are read again that were read before.
        """
        lost, speechless = len(self.ledger.losses), len(self.ledger.speechless)
        self.go()
        self.wait_until_busy(confirmed=_BUSY_OPERATIONS)
        for name in names:
            self.harm.faults[name]()
            self.struck[name] += 1
            self.wait_until_busy(confirmed=_BUSY_OPERATIONS)
        self.rest()
        self.reconciled += self.proof.prove(whole=whole)
        losses = self.ledger.losses[lost:]
        assert not losses, f"seed {self.seed}: {losses[:10]}\n{self.stack.log()[-4000:]}"
        assert not self.ledger.speechless[speechless:], self.ledger.speechless[speechless:][:5]


def seed_of_this_run() -> int:
    """``FAULT_SEED``, or a new one."""
    given = os.environ.get("FAULT_SEED", "")
    return int(given) if given else random.SystemRandom().randrange(10**6)
