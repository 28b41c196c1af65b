"""``manage.py signinlink``."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console.accounts.models import Account
from console.audit.services import record
from console.database.commands import running_installation
from console.login import factors, sign_in_links


class Command(BaseCommand):
    """Prints a link that signs in to an account once, and takes lost second factors off it."""

    help = "Print a link that signs in to an account once, within ten minutes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("account_id", help="the Account ID")
        parser.add_argument(
            "--remove-second-factors",
            action="store_true",
            help="for someone who lost their phone and recovery codes",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the link; on standard error, what is wrong with the account."""
        with running_installation():
            account = Account.objects.filter(account_id=options["account_id"]).first()
            if account is None:
                raise CommandError("There is no account with this Account ID.")
            if not account.is_active:
                raise CommandError("This account is deactivated.")
            if options["remove_second_factors"]:
                factors.remove_all(account, by="signinlink")
            record("account.sign_in_link", account.account_id)
        minutes = settings.SIGN_IN_LINK_SECONDS // 60
        self.stdout.write(f"This link works once, within {minutes} minutes; second factors are still required:")
        self.stdout.write(sign_in_links.make(account))
