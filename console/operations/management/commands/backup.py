"""``manage.py backup``: back up database and keys."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console.backup import services
from console.local.problems import Problem


class Command(BaseCommand):
    """Writes database and keys to one file."""

    help = "Write the database and the keys to one file, while everything runs. Copy the images separately."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("file", type=Path, help="the file to write; an existing file is replaced")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the backup, and print what it does not contain."""
        path = options["file"].expanduser().absolute()
        try:
            made = services.make(path)
        except Problem as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(f"{path} contains database and keys as of {made.manifest.made_at} ({made.size:,} bytes).")
        self.stdout.write(
            f"It contains no images. Copy {made.manifest.storage} now, its repositories before its blobs."
        )
        if settings.KEYS.secret_key != settings.SECRET_KEY:
            self.stdout.write("SECRET_KEY comes from the environment and is not in the backup. Keep it too.")
