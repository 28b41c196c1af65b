"""``manage.py grant``: give a role from the command line."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from console.access.roles import Role
from console.members.command_arguments import (
    HOLDER_HELP,
    PLACE_HELP,
    ROLES,
    find_holder,
    find_place,
    parse_until,
    sentences,
)
from console.sharing.services import give_role


class Command(BaseCommand):
    """Gives an account or a team a role on a namespace or one image; changes the role that it has there."""

    help = "Give an account or a team a role on a namespace or one image. A role that it has there is changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("place", metavar="NAMESPACE[/IMAGE]", help=PLACE_HELP)
        parser.add_argument("holder", metavar="ACCOUNT_ID|team:NAME", help=HOLDER_HELP)
        parser.add_argument("role", metavar="ROLE", choices=ROLES, help=", ".join(ROLES))
        parser.add_argument("--until", metavar="DATE", help="the last day of the role, as 2027-01-31; for good without")

    def handle(self, *args: Any, **options: Any) -> None:
        """Give the role; each refusal is one sentence on standard error."""
        until = parse_until(options["until"]) if options["until"] else None
        role = Role[options["role"].upper()]
        with sentences():
            namespace, image = find_place(options["place"])
            give_role(None, namespace, find_holder(options["holder"]), role, image=image, until=until)
        ending = f" until the end of {options['until']}" if until else ""
        self.stdout.write(f"{options['holder']} has the role {options['role']} on {options['place']}{ending}.")
