"""``manage.py reconcile``."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from console.accounts.models import Account
from console.audit.services import record
from console.database.commands import running_installation
from console.registry.index import reconcile as walks
from console.registry.index.models import Reconcile
from registry_client import RegistryError

_WAIT_SECONDS = 0.5
# A registry that accepts calls and never answers is waited for more than a minute.
_SILENCE_SECONDS = 5.0


def _percent(text: str) -> int:
    if not text.isdecimal() or int(text) > 100:
        raise ArgumentTypeError("give a whole number from 0 to 100")
    return int(text)


@contextlib.contextmanager
def _watched(tell_of_silence: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Call ``tell_of_silence``, from a thread of its own, when what is given has not been called for a while."""
    over = threading.Event()
    signs = 0

    def alive() -> None:
        nonlocal signs
        signs += 1

    def watch() -> None:
        seen, told = -1, False
        while not over.wait(_SILENCE_SECONDS):
            if seen != signs:
                seen, told = signs, False
            elif not told:
                tell_of_silence()
                told = True

    watcher = threading.Thread(target=watch, name="silence", daemon=True)
    watcher.start()
    try:
        yield alive
    finally:
        over.set()
        watcher.join()


class Command(BaseCommand):
    """Walks over the registry and mends the index; a walk that was broken off goes on where it was."""

    help = (
        "Compare the index with the registry and repair it: add what is missing, remove what is proven to be gone. "
        "A run that would remove too much removes nothing and asks first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("image", nargs="*", help="namespace/name of the images to check (default: all)")
        parser.add_argument(
            "--adopt-for",
            metavar="ACCOUNT_ID",
            default="",
            help="give this account the namespaces that are in the registry and belong to nobody",
        )
        parser.add_argument(
            "--most-removed",
            metavar="PERCENT",
            type=_percent,
            default=walks.DEFAULT_SHARE,
            help="share of all tags that may be removed without asking (%(default)s)",
        )
        parser.add_argument("--yes", action="store_true", help="remove everything that is gone without asking")

    def handle(self, *args: Any, **options: Any) -> None:
        """Walk, printing each change; ends with exit code 1 when a decision is wanted and nobody is there to ask."""
        adopt_for = options["adopt_for"]
        share = 100 if options["yes"] else options["most_removed"]
        try:
            with running_installation():
                if adopt_for and not Account.objects.filter(account_id=adopt_for, is_active=True).exists():
                    raise CommandError(f"There is no active account with the Account ID {adopt_for}.")
                begun = self._begin(options["image"], adopt_for)
                images = options["image"] or "all"
                record("reconcile.run", f"walk {begun.pk}", images=images, adopt_for=adopt_for, most_removed=share)
                walk = self._walk(begun, share)
                while walk.state == Reconcile.State.ASKING and self._agreed(walk):
                    # No more than was asked about: meanwhile more may have gone.
                    walk = self._walk(walk, share, agreed=walk.counts["missing"])
        except RegistryError as error:
            raise CommandError(f"Can't reach the registry ({error}). Run the command again to resume.") from None
        except KeyboardInterrupt:
            raise CommandError("Stopped. Run the command again to resume.") from None
        if walk.state == Reconcile.State.ASKING:
            raise CommandError(f"{walk.problem} If that is right, run the command again with --yes.")
        self.stdout.write(walks.summary(walk))
        if not walk.whole and walk.counts.get("problems"):
            raise CommandError("Some images have problems; see the lines above.")

    def _begin(self, images: list[str], adopt_for: str) -> Reconcile:
        return self._when_alone(lambda: walks.begin(images, adopt_for=adopt_for))

    def _walk(self, walk: Reconcile, share: int, agreed: int = 0) -> Reconcile:
        with tqdm(total=walk.total, unit=" images", file=sys.stderr, disable=None, dynamic_ncols=True) as bar:

            def tell_of_silence() -> None:
                bar.clear()
                self.stderr.write(f"Waiting for the registry at {settings.CONSOLE_REGISTRY_URL} to answer.")

            def work() -> Reconcile:
                with _watched(tell_of_silence) as alive:

                    def report(line: str) -> None:
                        alive()
                        bar.clear()
                        self.stdout.write(line)

                    def moved(now: Reconcile) -> None:
                        alive()
                        bar.total = now.total
                        bar.update(now.done - bar.n)

                    return walks.walk_on(walk, share=share, agreed=agreed, report=report, moved=moved)

            return self._when_alone(work)

    def _when_alone(self, work: Callable[[], Reconcile]) -> Reconcile:
        """Do ``work`` as soon as no other process walks over everything."""
        told = False
        while True:
            try:
                return work()
            except walks.AlreadyWalking:
                if not told:
                    self.stderr.write("Another process is already checking the index. Waiting until it finishes.")
                    told = True
                time.sleep(_WAIT_SECONDS)

    def _agreed(self, walk: Reconcile) -> bool:
        if not sys.stdin.isatty():
            return False
        self.stdout.write(walk.problem)
        try:
            return input("Remove them from the index? [y/N] ").strip().lower() in {"y", "yes"}
        except EOFError:
            return False
