"""``manage.py createaccount``: create an account from the command line."""

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from console.accounts.models import Account
from console.accounts.services import create_account
from console.database.commands import running_installation


class Command(BaseCommand):
    """Creates an account and prints its Account ID."""

    help = "Create an account and print its Account ID. Run it with the same DATA_DIR and other variables as make run."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--name", required=True, help="the name shown on the pages")
        parser.add_argument("--email", default="", help="used to sign in and to reset the password")
        parser.add_argument(
            "--password-stdin", action="store_true", help="read the console password from standard input"
        )
        parser.add_argument("--administrator", action="store_true", help="give access to the administration")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the account; each validation error is one sentence on standard error."""
        with running_installation():
            Account.objects.exists()  # check the database before asking for a password
        if options["password_stdin"]:
            password = sys.stdin.readline().rstrip("\r\n")
        else:
            password = getpass.getpass("Console password: ")
        try:
            with running_installation():
                account = create_account(
                    options["name"],
                    options["email"],
                    password,
                    is_staff=options["administrator"],
                    is_superuser=options["administrator"],
                )
        except ValidationError as problem:
            raise CommandError(" ".join(problem.messages)) from None
        self.stdout.write(f"Account ID: {account.account_id}")
