"""``manage.py restore``: restore database and keys from a backup."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console.backup import services
from console.local.problems import Problem


class Command(BaseCommand):
    """Restores database and keys from a file of ``manage.py backup``."""

    help = "Restore the database and the keys from a backup. My Images must not be running."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("file", type=Path, help="the backup file")
        parser.add_argument("--force", action="store_true", help="replace a database that is not empty")

    def handle(self, *args: Any, **options: Any) -> None:
        """Restore, and print the remaining steps."""
        path = options["file"].expanduser().absolute()
        try:
            made = services.restore(path, force=options["force"])
        except Problem as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(f"Restored the database and the keys as of {made.manifest.made_at}.")
        was, now = made.manifest.storage, services.storage(settings.ENVIRONMENT)
        back = "back" if was == now else f"back at {now}"
        self.stdout.write(f"Put the copy of {was} {back}, then start My Images: it corrects what differs.")
