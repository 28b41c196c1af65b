"""``manage.py reconcile``."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from tqdm import tqdm

from console.accounts.models import Account
from console.indexing import reconcile as walks
from console.indexing.models import Reconcile
from registry_client import RegistryError

_WAIT_SECONDS = 0.5


def _percent(text: str) -> int:
    if not text.isdecimal() or int(text) > 100:
        raise ArgumentTypeError("give a whole number from 0 to 100")
    return int(text)


class Command(BaseCommand):
    """Walks over the registry and mends the index; a walk that was broken off goes on where it was."""

    help = (
        "Compare the index with the registry and mend it: what is missing is added, what is proven to be gone is "
        "removed. A run that would remove too much changes nothing there and asks."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("image", nargs="*", help="namespace/name of what to look at; everything when none is given")
        parser.add_argument(
            "--adopt-for",
            metavar="ACCOUNT_ID",
            default="",
            help="give namespaces that are in the registry and belong to nobody to this account",
        )
        parser.add_argument(
            "--most-removed",
            metavar="PERCENT",
            type=_percent,
            default=walks.DEFAULT_SHARE,
            help="the share of all tags that may be removed without asking (%(default)s)",
        )
        parser.add_argument("--yes", action="store_true", help="remove what is gone, however much it is")

    def handle(self, *args: Any, **options: Any) -> None:
        """Walk, printing each change; ends with exit code 1 when a decision is wanted and nobody is there to ask."""
        adopt_for = options["adopt_for"]
        share = 100 if options["yes"] else options["most_removed"]
        try:
            if adopt_for and not Account.objects.filter(account_id=adopt_for, is_active=True).exists():
                raise CommandError(f"There is no active account with the Account ID {adopt_for}.")
            walk = self._walk(self._begin(options["image"], adopt_for), share)
            while walk.state == Reconcile.State.ASKING and self._agreed(walk):
                # No more than was asked about: meanwhile more may have gone.
                walk = self._walk(walk, share, agreed=walk.counts["missing"])
        except RegistryError as error:
            raise CommandError(f"The registry cannot be asked ({error}). Run the command again: it goes on.") from None
        except OperationalError:
            raise CommandError("The database cannot be reached. Start My Images first, then try again.") from None
        except KeyboardInterrupt:
            raise CommandError("Stopped. Run the command again: it goes on.") from None
        if walk.state == Reconcile.State.ASKING:
            raise CommandError(f"{walk.problem} If that is right, run the command again with --yes.")
        self.stdout.write(_summary(walk))

    def _begin(self, images: list[str], adopt_for: str) -> Reconcile:
        return self._when_alone(lambda: walks.begin(images, adopt_for=adopt_for))

    def _walk(self, walk: Reconcile, share: int, agreed: int = 0) -> Reconcile:
        with tqdm(total=walk.total, unit=" images", file=sys.stderr, disable=None, dynamic_ncols=True) as bar:

            def report(line: str) -> None:
                bar.clear()
                self.stdout.write(line)

            def moved(now: Reconcile) -> None:
                bar.total = now.total
                bar.update(now.done - bar.n)

            return self._when_alone(lambda: walks.walk_on(walk, share=share, agreed=agreed, report=report, moved=moved))

    def _when_alone(self, work: Callable[[], Reconcile]) -> Reconcile:
        """Do ``work`` as soon as no other process walks over everything."""
        told = False
        while True:
            try:
                return work()
            except walks.AlreadyWalking:
                if not told:
                    self.stderr.write("Another process walks over the registry. Waiting until it has ended.")
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


def _summary(walk: Reconcile) -> str:
    counts = walk.counts
    parts = [
        f"{walk.done:,} repositories looked at",
        f"{counts.get('added', 0):,} tags added",
        f"{counts.get('moved', 0):,} pointed elsewhere",
        f"{counts.get('removed', 0):,} removed",
        f"{counts.get('forgotten', 0):,} manifests forgotten",
        f"{counts.get('totals', 0):,} totals mended",
        f"{counts.get('adopted', 0):,} namespaces adopted",
        f"{counts.get('nobodys', 0):,} repositories left out",
        f"{counts.get('problems', 0):,} with a problem",
    ]
    return ", ".join(parts) + "."
