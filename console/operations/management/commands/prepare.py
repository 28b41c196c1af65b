"""``manage.py prepare``."""

import hashlib
import json
import secrets
import shutil
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
from console.database.server_log import settings_that_log_values
from console.installation import environment
from console.installation.files import replace_file
from console.web import static

# What ``collectstatic`` leaves out by itself.
_IGNORED = ["CVS", ".*", "*~"]
_MANIFEST = "staticfiles.json"


def _sources() -> dict[str, bytes]:
    """What the static files are made of, by their paths in ``STATIC_ROOT``."""
    found: dict[str, bytes] = {}
    for finder in get_finders():
        for path, storage in finder.list(_IGNORED):
            name = f"{prefix}/{path}" if (prefix := getattr(storage, "prefix", "")) else path
            found.setdefault(name, Path(storage.path(path)).read_bytes())
    return found


def _state(sources: dict[str, bytes]) -> str:
    """What tells whether a static file, or what packs it, is another one than before."""
    packed_by = [version(name) for name in ("django", "whitenoise", "brotli")]
    settled = [settings.STATIC_URL, settings.STORAGES, packed_by]
    seen = hashlib.sha256(repr(settled).encode() + Path(str(static.__file__)).read_bytes())
    for path, content in sorted(sources.items()):
        seen.update(f"\0{path}\0{len(content)}\0".encode() + content)
    return seen.hexdigest()


def _collected(root: Path) -> str:
    """What tells whether what was collected is still what it was; empty when some of it is missing or damaged."""
    try:
        manifest = (root / _MANIFEST).read_bytes()
        sizes = [(path, (root / path).stat().st_size) for path in sorted(json.loads(manifest)["paths"].values())]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return hashlib.sha256(manifest + repr(sizes).encode()).hexdigest()


class Command(BaseCommand):
    """Makes the database and the static files ready for this version, and the first administrator."""

    help = "Prepare a start: migrate, collect static files, create the first administrator."

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare; prints the first administrator's Account ID and password, once, when it makes them."""
        call_command("migrate", interactive=False, verbosity=0)
        self._static_files()
        self._warn_of_server_log()
        self._first_administrator()

    def _warn_of_server_log(self) -> None:
        """Say which settings of somebody's own PostgreSQL let password hashes into its log."""
        if settings.ENVIRONMENT.embedded_database:
            return
        if wrong := settings_that_log_values():
            changes = ", ".join(f"{name} = {value}" for name, value in sorted(wrong.items()))
            self.stderr.write(
                "The PostgreSQL server logs the values of failed or slow statements, including password hashes. "
                f"Set there: {changes} (docs/operations.md)."
            )

    def _static_files(self) -> None:
        """Collect the static files, unless they are those of the last time: packing them takes most of a start."""
        root = Path(settings.STATIC_ROOT)
        note = root.with_name(f"{root.name}.collected")
        sources = _sources()
        state = _state(sources)
        collected = _collected(root)
        noted = note.read_text(errors="replace") if note.is_file() else ""
        if collected and noted == f"{state} {collected}":
            return
        note.unlink(missing_ok=True)
        if not (collected and noted.endswith(f" {collected}")):
            # The last collection was interrupted, or files are damaged. A hashed file that exists is not written again,
            # so that one that was half written would stay. Complete ones of an earlier version do stay, for open pages.
            shutil.rmtree(root, ignore_errors=True)
        for path in sources:
            # A copy that is newer than its source would be left as it is. Pages name the hashed ones, which stay.
            (root / path).unlink(missing_ok=True)
        call_command("collectstatic", interactive=False, verbosity=0)
        replace_file(note, f"{state} {_collected(root)}".encode())

    def _first_administrator(self) -> None:
        given = environment.load().admin_password
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
