"""``manage.py signinlink``: create a sign-in link from the command line."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console.accounts.models import Account
from console.audit.services import record
from console.database.commands import running_installation
from console.login import factors, sign_in_links


class Command(BaseCommand):
    """Prints a sign-in link, which works once, and optionally removes the account's second factors."""

    help = "Print a link that signs in to an account once, within ten minutes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("account_id", help="the Account ID")
        parser.add_argument("--remove-second-factors", action="store_true", help="if phone and recovery codes are lost")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the link; errors go to standard error."""
        with running_installation():
            account = Account.objects.filter(account_id=options["account_id"]).first()
            if account is None:
                raise CommandError("There is no account with this Account ID.")
            if account.is_service:
                raise CommandError("This is a service account: it never signs in to the console.")
            if not account.is_active:
                raise CommandError("This account is deactivated.")
            if options["remove_second_factors"]:
                factors.remove_all(account, by="signinlink")
            record("account.sign_in_link", account.account_id)
        minutes = settings.SIGN_IN_LINK_SECONDS // 60
        self.stdout.write(f"Works once, within {minutes} minutes; asks for the second factor if there is one:")
        self.stdout.write(sign_in_links.make(account))
