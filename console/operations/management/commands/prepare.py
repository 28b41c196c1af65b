"""``manage.py prepare``."""

import hashlib
import os
import secrets
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from console.accounts.models import Account
from console.accounts.services import create_account


def _static_state() -> str:
    """What tells whether a static file, or what packs it, is another one than before."""
    seen = hashlib.sha256(f"{version('django')} {version('whitenoise')}".encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            found = Path(storage.path(path)).stat()
            seen.update(f"\0{path} {found.st_size} {found.st_mtime_ns}".encode())
    return seen.hexdigest()


class Command(BaseCommand):
    """Makes the database and the static files ready for this version, and the first administrator."""

    help = "Prepare a start: migrate, collect static files, make the first administrator."

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare; prints the first administrator's Account ID and password, once, when it makes them."""
        call_command("migrate", interactive=False, verbosity=0)
        self._static_files()
        self._first_administrator()

    def _static_files(self) -> None:
        """Collect the static files, unless they are those of the last time: packing them takes most of a start."""
        root = Path(settings.STATIC_ROOT)
        note = root.with_name(f"{root.name}.collected")
        state = _static_state()
        if (root / "staticfiles.json").exists() and note.exists() and note.read_text() == state:
            return
        note.unlink(missing_ok=True)
        call_command("collectstatic", interactive=False, verbosity=0)
        note.write_text(state)

    def _first_administrator(self) -> None:
        given = os.environ.get("ADMIN_PASSWORD", "")
        password = given or secrets.token_urlsafe(12)
        with transaction.atomic():
            # Two consoles that start at once must not both find that there is none.
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(hashtext('my-images.first-administrator'))")
            if Account.objects.exists():
                return
            try:
                account = create_account("Administrator", None, password, is_staff=True, is_superuser=True)
            except ValidationError as problem:
                raise CommandError(f"ADMIN_PASSWORD cannot be used: {' '.join(problem.messages)}") from None
        self.stdout.write(f"Account ID: {account.account_id}")
        if not given:
            self.stdout.write(f"Password: {password}")
