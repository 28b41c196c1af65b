"""``manage.py revoke``: take a role from the command line."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from console.accounts.models import Account
from console.members.command_arguments import HOLDER_HELP, PLACE_HELP, find_holder, find_place, sentences
from console.membership.models import Grant
from console.sharing.services import release_owner, take_role


class Command(BaseCommand):
    """Takes the role of an account or a team on a namespace or one image. The last owner stays."""

    help = "Take the role that an account or a team has on a namespace or one image. The last owner stays."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("place", metavar="NAMESPACE[/IMAGE]", help=PLACE_HELP)
        parser.add_argument("holder", metavar="ACCOUNT_ID|team:NAME", help=HOLDER_HELP)

    def handle(self, *args: Any, **options: Any) -> None:
        """Take the role; each refusal is one sentence on standard error."""
        with sentences():
            namespace, image = find_place(options["place"])
            holder = find_holder(options["holder"])
            if isinstance(holder, Account):
                if image is None and holder.pk == namespace.owner_id:
                    heir = release_owner(None, namespace)
                    self.stdout.write(f"{options['holder']} left {options['place']}; {heir.account_id} owns it now.")
                    return
                grants = Grant.objects.filter(account=holder)
            else:
                grants = Grant.objects.filter(team=holder)
            grant = grants.filter(namespace=namespace, image=image).first()
            if grant is None or not take_role(None, grant):
                raise CommandError(f"{options['holder']} has no role of its own on {options['place']}.")
        self.stdout.write(f"{options['holder']} has no role on {options['place']} any more.")
