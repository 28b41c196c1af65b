"""``manage.py reconcile``: reconcile the index with the registry."""

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
from console.registry.index import reconcile as reconciles
from console.registry.index.models import Reconcile
from registry_client import RegistryError

_WAIT_SECONDS = 0.5
# After so long without progress the command says that it waits: the registry's timeout is more than a minute.
_SILENCE_SECONDS = 5.0


def _percent(text: str) -> int:
    if not text.isdecimal() or int(text) > 100:
        raise ArgumentTypeError("give a whole number from 0 to 100")
    return int(text)


@contextlib.contextmanager
def _watched(report_silence: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Watchdog: yields a heartbeat function, and calls ``report_silence`` in a thread when it was not called."""
    over = threading.Event()
    beats = 0

    def alive() -> None:
        nonlocal beats
        beats += 1

    def watch() -> None:
        seen, reported = -1, False
        while not over.wait(_SILENCE_SECONDS):
            if seen != beats:
                seen, reported = beats, False
            elif not reported:
                report_silence()
                reported = True

    watcher = threading.Thread(target=watch, name="silence", daemon=True)
    watcher.start()
    try:
        yield alive
    finally:
        over.set()
        watcher.join()


class Command(BaseCommand):
    """Reconciles the index with the registry; an interrupted run is resumed."""

    help = (
        "Compare the index with the registry and correct it: add what is missing, remove what is proven to be gone. "
        "A run that would remove too much removes nothing and asks."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("image", nargs="*", help="namespace/name of an image; all images when none is given")
        parser.add_argument(
            "--adopt-for",
            metavar="ACCOUNT_ID",
            default="",
            help="give namespaces in the registry that have no owner to this account",
        )
        parser.add_argument(
            "--most-removed",
            metavar="PERCENT",
            type=_percent,
            default=reconciles.DEFAULT_SHARE,
            help="share of all tags that may be removed without asking (%(default)s)",
        )
        parser.add_argument("--yes", action="store_true", help="remove everything that is gone without asking")

    def handle(self, *args: Any, **options: Any) -> None:
        """Reconcile, printing each change; exit code 1 when a decision is needed and there is no terminal."""
        adopt_for = options["adopt_for"]
        share = 100 if options["yes"] else options["most_removed"]
        try:
            with running_installation():
                people = Account.objects.filter(is_active=True, is_service=False)
                if adopt_for and not people.filter(account_id=adopt_for).exists():
                    raise CommandError(f"There is no active account with the Account ID {adopt_for}.")
                begun = self._begin(options["image"], adopt_for)
                images = options["image"] or "all"
                record("reconcile.run", f"reconcile {begun.pk}", images=images, adopt_for=adopt_for, most_removed=share)
                run = self._resume(begun, share)
                while run.state == Reconcile.State.ASKING and self._agreed(run):
                    # At most the number that the operator agreed to: more may be missing by now.
                    run = self._resume(run, share, agreed=run.counts["missing"])
        except RegistryError as error:
            raise CommandError(f"Can't reach the registry ({error}). Run the command again to resume.") from None
        except KeyboardInterrupt:
            raise CommandError("Stopped. Run the command again to resume.") from None
        if run.state == Reconcile.State.ASKING:
            raise CommandError(f"{run.problem} If that is correct, run the command again with --yes.")
        self.stdout.write(reconciles.summary(run))
        if not run.whole and run.counts.get("problems"):
            raise CommandError("Some images have problems; see the lines above.")

    def _begin(self, images: list[str], adopt_for: str) -> Reconcile:
        return self._when_not_locked(lambda: reconciles.begin(images, adopt_for=adopt_for))

    def _resume(self, run: Reconcile, share: int, agreed: int = 0) -> Reconcile:
        with tqdm(total=run.total, unit=" images", file=sys.stderr, disable=None, dynamic_ncols=True) as bar:

            def report_silence() -> None:
                bar.clear()
                self.stderr.write(f"Waiting for the registry at {settings.CONSOLE_REGISTRY_URL} to answer.")

            def work() -> Reconcile:
                with _watched(report_silence) as alive:

                    def report(line: str) -> None:
                        alive()
                        bar.clear()
                        self.stdout.write(line)

                    def on_progress(now: Reconcile) -> None:
                        alive()
                        bar.total = now.total
                        bar.update(now.done - bar.n)

                    return reconciles.resume(run, share=share, agreed=agreed, report=report, on_progress=on_progress)

            return self._when_not_locked(work)

    def _when_not_locked(self, work: Callable[[], Reconcile]) -> Reconcile:
        """Do ``work`` as soon as no other process is reconciling everything."""
        reported = False
        while True:
            try:
                return work()
            except reconciles.AlreadyRunning:
                if not reported:
                    self.stderr.write("Another process is reconciling. Waiting until it has finished.")
                    reported = True
                time.sleep(_WAIT_SECONDS)

    def _agreed(self, run: Reconcile) -> bool:
        if not sys.stdin.isatty():
            return False
        self.stdout.write(run.problem)
        try:
            return input("Remove them from the index? [y/N] ").strip().lower() in {"y", "yes"}
        except EOFError:
            return False
