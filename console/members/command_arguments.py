"""Arguments of the commands about roles: places, holders and dates, as people type them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.utils import timezone

from console.access.roles import Role
from console.accounts.models import Account
from console.database.commands import running_installation
from console.membership.models import Team
from console.namespaces.models import Namespace
from console.repositories.models import Image

TEAM_PREFIX = "team:"
ROLES = [role.name.lower() for role in Role]
PLACE_HELP = "a namespace, or an image of it as NAMESPACE/IMAGE"
HOLDER_HELP = "an Account ID, or team:NAME"


@contextmanager
def sentences() -> Iterator[None]:
    """Turn a refusal by a service, and a missing database, into one error message.

    :raises CommandError: with the message.
    """
    try:
        with running_installation():
            yield
    except ValidationError as problem:
        raise CommandError(" ".join(problem.messages)) from None


def find_place(text: str) -> tuple[Namespace, Image | None]:
    """The namespace and image that ``NAMESPACE`` or ``NAMESPACE/IMAGE`` names; no image for a whole namespace.

    :raises CommandError: when there is none of this name.
    """
    name, slash, image_name = _typed(text).partition("/")
    namespace = Namespace.objects.select_related("owner").filter(name=name).first()
    if namespace is None:
        raise CommandError(f"There is no namespace “{name}”.")
    if not slash:
        return namespace, None
    image = Image.objects.select_related("namespace").filter(namespace=namespace, name=image_name).first()
    if image is None:
        raise CommandError(f"There is no image “{text}”.")
    return namespace, image


def find_account(account_id: str) -> Account:
    """The account with this Account ID.

    :raises CommandError: when there is none.
    """
    account = Account.objects.filter(account_id=_typed(account_id)).first()
    if account is None:
        raise CommandError(f"There is no account with the Account ID “{account_id}”.")
    return account


def find_holder(text: str) -> Account | Team:
    """The account or the team that ``ACCOUNT_ID`` or ``team:NAME`` names.

    :raises CommandError: when there is none.
    """
    if not text.startswith(TEAM_PREFIX):
        return find_account(text)
    name = _typed(text.removeprefix(TEAM_PREFIX))
    team = Team.objects.filter(name=name).first()
    if team is None:
        raise CommandError(f"There is no team “{name}”.")
    return team


def parse_until(text: str) -> datetime.datetime:
    """The end of a day such as ``2027-01-31``, in the server's time zone, when a role ends.

    :raises CommandError: when it is no date.
    """
    try:
        day = datetime.date.fromisoformat(text)
        following = day + datetime.timedelta(days=1)
        return timezone.make_aware(datetime.datetime.combine(following, datetime.time.min))
    except (ValueError, OverflowError):
        raise CommandError(f"“{text}” is not a date. Write it as 2027-01-31.") from None


def _typed(text: str) -> str:
    # PostgreSQL stores no NUL, and refuses a query with one.
    return text.replace("\x00", "")
