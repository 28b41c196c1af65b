"""``manage.py rotate_signing_key``."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console.database.commands import running_installation
from console.token_server import rotation


class Command(BaseCommand):
    """Changes the key that registry tokens are signed with, and retires the former one."""

    help = "Sign registry tokens with a new key. Both are trusted until what the former has signed is past its end."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--retire",
            action="store_true",
            help="start the registries again without the former key; what is being pushed or pulled breaks off",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate or retire; says what is left to do."""
        try:
            with running_installation():
                if options["retire"]:
                    self._retire()
                else:
                    self._rotate()
        except rotation.NotNow as problem:
            raise CommandError(str(problem)) from None

    def _rotate(self) -> None:
        until = rotation.rotate()
        self.stdout.write(
            f"A new key signs from now on. What the former has signed is good until {until:%H:%M:%S} UTC."
        )
        self.stdout.write(
            "From the next start after that on the registries refuse it; "
            "'manage.py rotate_signing_key --retire' starts them."
        )

    def _retire(self) -> None:
        started = rotation.retire()
        self.stdout.write(
            "The registries were started again and refuse the former key."
            if started
            else "The former key is retired: the registries refuse it from their next start on."
        )
        if not settings.REGISTRY_IS_OURS:
            self.stdout.write(
                f"Copy {settings.KEYS.token_certificate} to the registry at {settings.REGISTRY_URL} and start it again."
            )
