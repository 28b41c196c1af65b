"""``manage.py reconcile``."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from tqdm import tqdm

from console.accounts.models import Account
from console.indexing import reconcile as walks
from console.indexing.models import Reconcile
from registry_client import RegistryError


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
            type=int,
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
            walk = self._walk(walks.begin(options["image"], adopt_for=adopt_for), share)
            if walk.state == Reconcile.State.ASKING and self._agreed(walk):
                walk = self._walk(walk, 100)
        except RegistryError as error:
            raise CommandError(f"The registry cannot be asked ({error}). Run the command again: it goes on.") from None
        except OperationalError:
            raise CommandError("The database cannot be reached. Start My Images first, then try again.") from None
        if walk.state == Reconcile.State.ASKING:
            raise CommandError(f"{walk.problem} If that is right, run the command again with --yes.")
        self.stdout.write(_summary(walk))

    def _walk(self, walk: Reconcile, share: int) -> Reconcile:
        with tqdm(total=0, unit=" images", file=sys.stderr, disable=None, dynamic_ncols=True) as bar:

            def report(line: str) -> None:
                bar.clear()
                self.stdout.write(line)

            def moved(now: Reconcile) -> None:
                bar.total, bar.n = now.total, now.done
                bar.refresh()

            return walks.walk_on(walk, share=share, report=report, moved=moved)

    def _agreed(self, walk: Reconcile) -> bool:
        if not sys.stdin.isatty():
            return False
        self.stdout.write(walk.problem)
        return input("Remove them from the index? [y/N] ").strip().lower() in {"y", "yes"}


def _summary(walk: Reconcile) -> str:
    counts = walk.counts
    parts = [
        f"{walk.done:,} repositories looked at",
        f"{counts.get('added', 0):,} tags added",
        f"{counts.get('moved', 0):,} pointed elsewhere",
        f"{counts.get('removed', 0):,} removed",
        f"{counts.get('totals', 0):,} totals mended",
        f"{counts.get('nobodys', 0):,} repositories without an owner",
        f"{counts.get('problems', 0):,} with a problem",
    ]
    return ", ".join(parts) + "."
