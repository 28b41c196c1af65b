"""``manage.py prepare``."""

import os
import secrets
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from console.accounts.models import Account
from console.accounts.services import create_account


class Command(BaseCommand):
    """Makes the database and the static files ready for this version, and the first administrator."""

    help = "Prepare a start: migrate, collect static files, make the first administrator."

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare; prints the first administrator's Account ID and password, once, when it makes them."""
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        self._first_administrator()

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
