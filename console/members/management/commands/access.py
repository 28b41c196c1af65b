"""``manage.py access``: what an account may do and why, or who has access to a namespace."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from console.accounts.models import Account
from console.members.command_arguments import PLACE_HELP, find_account, find_place, sentences
from console.repositories.models import Image
from console.sharing.reasons import Reason, Source, all_reasons_of, holders_on, reasons_of


class Command(BaseCommand):
    """Prints the roles of an account with the reason for each, or everybody with a role on a namespace."""

    help = "Print what an account may do and why, or, with --namespace, who has access to a namespace or an image."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("account", nargs="?", metavar="ACCOUNT_ID", help="whose access to print")
        parser.add_argument("place", nargs="?", metavar="NAMESPACE[/IMAGE]", help=f"{PLACE_HELP}; all without")
        parser.add_argument("--namespace", metavar="NAMESPACE[/IMAGE]", help="print who has access to it instead")
        parser.add_argument("--json", action="store_true", help="print JSON, for scripts")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print one line for each role, or one JSON document."""
        if bool(options["account"]) == bool(options["namespace"]):
            raise CommandError("Name an Account ID, or a namespace with --namespace.")
        with sentences():
            answer = _holders(options["namespace"]) if options["namespace"] else _access(options)
        if options["json"]:
            self.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False))
            return
        for note in answer["notes"]:
            self.stdout.write(note)
        for role in answer["roles"]:
            self.stdout.write(_line(role, with_holder=bool(options["namespace"])))
        if answer.get("verbs"):
            self.stdout.write("May: " + ", ".join(answer["verbs"]))


def _holders(text: str) -> dict[str, Any]:
    namespace, image = find_place(text)
    return {"place": text, "notes": _public(image), "roles": [_facts(one) for one in holders_on(namespace, image)]}


def _access(options: dict[str, Any]) -> dict[str, Any]:
    account = find_account(options["account"])
    answer: dict[str, Any] = {"account": account.account_id, "name": account.name, "active": account.is_active}
    if not options["place"]:
        reasons = all_reasons_of(account)
        return {**answer, "notes": _missing(account, reasons), "roles": [_facts(one) for one in reasons]}
    namespace, image = find_place(options["place"])
    reasons = reasons_of(account, namespace, image)
    verbs = account.verbs_on(image if image is not None else namespace)
    return {
        **answer,
        "place": options["place"],
        "notes": _missing(account, reasons) + _public(image),
        "roles": [_facts(one) for one in reasons],
        "verbs": sorted(verbs),
    }


def _missing(account: Account, reasons: list[Reason]) -> list[str]:
    if not account.is_active:
        return ["The account is deactivated: it may do nothing."]
    return [] if reasons else ["No role."]


def _public(image: Image | None) -> list[str]:
    if image is None or image.visibility != Image.Visibility.PUBLIC:
        return []
    return ["The image is public: everybody may pull it."]


def _facts(reason: Reason) -> dict[str, Any]:
    account = reason.account
    return {
        "place": reason.place,
        "role": reason.role.name.lower(),
        "account": account.account_id if account is not None else None,
        "name": account.name if account is not None else None,
        "team": reason.team.name if reason.team is not None else None,
        "reason": _why(reason),
        "until": reason.until.isoformat() if reason.until else None,
    }


def _why(reason: Reason) -> str:
    if reason.source is Source.OWNER:
        return "owns the namespace"
    on = "image" if reason.source is Source.IMAGE else "namespace"
    return f"through team {reason.team.name}" if reason.team is not None else f"role on the {on}"


def _line(role: dict[str, Any], *, with_holder: bool) -> str:
    until = f", until {role['until']}" if role["until"] else ""
    who = f"{role['account']} {role['name']}: " if role["account"] else f"team {role['team']}: "
    return f"{who if with_holder else ''}{role['place']}: {role['role']} ({role['reason']}{until})"
