"""``manage.py prepare``: migrate, collect static files, create the first administrator."""

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

# The default of ``collectstatic --ignore``.
_IGNORED = ["CVS", ".*", "*~"]
_MANIFEST = "staticfiles.json"


def _sources() -> dict[str, bytes]:
    """The sources of the static files, by their paths in ``STATIC_ROOT``."""
    found: dict[str, bytes] = {}
    for finder in get_finders():
        for path, storage in finder.list(_IGNORED):
            name = f"{prefix}/{path}" if (prefix := getattr(storage, "prefix", "")) else path
            found.setdefault(name, Path(storage.path(path)).read_bytes())
    return found


def _state(sources: dict[str, bytes]) -> str:
    """A hash that changes when a static file, or the code that packs it, changes."""
    packed_by = [version(name) for name in ("django", "brotli")]
    settled = [settings.STATIC_URL, settings.STORAGES, packed_by]
    seen = hashlib.sha256(repr(settled).encode() + Path(str(static.__file__)).read_bytes())
    for path, content in sorted(sources.items()):
        seen.update(f"\0{path}\0{len(content)}\0".encode() + content)
    return seen.hexdigest()


def _collected(root: Path) -> str:
    """A hash of the collected files; empty if some are missing or damaged."""
    try:
        manifest = (root / _MANIFEST).read_bytes()
        sizes = [(path, (root / path).stat().st_size) for path in sorted(json.loads(manifest)["paths"].values())]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return hashlib.sha256(manifest + repr(sizes).encode()).hexdigest()


class Command(BaseCommand):
    """Prepares the database and the static files for this version, and creates the first administrator."""

    help = "Prepare a start: migrate, collect static files, create the first administrator."

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare; prints the first administrator's Account ID and password once, when it creates the account."""
        call_command("migrate", interactive=False, verbosity=0)
        self._static_files()
        self._warn_of_server_log()
        self._first_administrator()

    def _warn_of_server_log(self) -> None:
        """Warn about settings of an external PostgreSQL that write password hashes to its log."""
        if settings.ENVIRONMENT.embedded_database:
            return
        if unsafe := settings_that_log_values():
            changes = ", ".join(f"{name} = {value}" for name, value in sorted(unsafe.items()))
            self.stderr.write(
                "The PostgreSQL server logs the values of failed or slow statements, including password hashes. "
                f"Set there: {changes} (docs/operations.md)."
            )

    def _static_files(self) -> None:
        """Collect the static files if they have changed: packing them takes most of a start."""
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
            # The last run was interrupted, or files are damaged. Existing hashed files are not written again, so a
            # half-written one would stay. Complete ones of an earlier version are kept, for open pages.
            shutil.rmtree(root, ignore_errors=True)
        for path in sources:
            # A copy that is newer than its source would not be updated. Pages use the hashed ones, which are kept.
            (root / path).unlink(missing_ok=True)
        call_command("collectstatic", interactive=False, verbosity=0)
        replace_file(note, f"{state} {_collected(root)}".encode())

    def _first_administrator(self) -> None:
        given = environment.load().admin_password
        password = given or secrets.token_urlsafe(12)
        with transaction.atomic():
            # Lock, against a race of two consoles that start at the same time.
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
