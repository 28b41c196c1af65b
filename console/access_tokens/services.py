"""Access tokens: secrets that programs use in place of a registry password.

A secret is ``myimg_``, 43 random letters and digits (256 bits) and 6 that are the checksum of what stands before them,
so that whoever finds one in a file knows it for what it is without asking anybody. It has no character that a shell,
YAML or an address would read as anything but itself.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from console.access import quotas
from console.accounts.models import AccessToken, Account
from console.accounts.token_secrets import hash_secret, new_secret
from console.audit.services import record
from console.database.conflicts import insert
from console.namespaces.models import Namespace

_HINT_LENGTH = 4

# How often the last use of a token is written down, and how often when it came from elsewhere than the one before.
_NOTED_EVERY = datetime.timedelta(minutes=1)
_MOVES_NOTED_EVERY = datetime.timedelta(seconds=1)


def create(
    account: Account,
    name: str,
    *,
    can_push: bool,
    can_delete: bool = False,
    namespaces: Iterable[Namespace] | None = None,
    expires_at: datetime.datetime | None = None,
) -> tuple[AccessToken, str]:
    """Make an access token. Its secret is returned here and can be had nowhere else again.

    :param can_delete: whether it may delete as well, which needs ``can_push``.
    :param namespaces: those that it opens; ``None`` for all of the account's, those too that come later.
    :param expires_at: from when on it opens nothing; ``None`` for never.
    :return: the token and its secret.
    :raises ValueError: for ``can_delete`` without ``can_push``.
    :raises ValidationError: keyed ``name`` (``code="taken"`` or a broken rule of names), ``namespaces`` or
        ``expires_at``; without a key when the account may not have one (more).
    """
    if can_delete and not can_push:
        raise ValueError("an access token that may delete must be one that may push")
    if not account.may("access_token.create"):
        raise ValidationError(_("Activate the service first."))
    if expires_at is not None and expires_at <= timezone.now():
        raise ValidationError({"expires_at": _("This time is in the past.")})
    secret = new_secret()
    token = AccessToken(
        account=account,
        name=name.strip(),
        secret_hash=hash_secret(secret),
        hint=secret[-_HINT_LENGTH:],
        can_push=can_push,
        can_delete=can_delete,
        all_namespaces=namespaces is None,
        expires_at=expires_at,
    )
    token.clean_fields(exclude=["account"])
    with transaction.atomic():
        # One creator at a time for one account, or two at once could pass its quota together.
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if refusal := quotas.refuse_access_token(AccessToken.objects.visible_to(account).count()):
            raise ValidationError(refusal, code="quota")
        if not insert(token):
            raise ValidationError({"name": name_taken(token.name)})
        names = _choose(token, namespaces) if namespaces is not None else None
        record(
            "access_token.create",
            _target(token),
            can_push=can_push,
            can_delete=can_delete,
            namespaces=names if names is not None else "all",
            expires_at=expires_at.isoformat() if expires_at else None,
        )
    return token, secret


def name_taken(name: str) -> ValidationError:
    """That the account has a token of this name."""
    return ValidationError(_("You already have an access token named “%s”. Try another name.") % name, code="taken")


def _choose(token: AccessToken, namespaces: Iterable[Namespace]) -> list[str]:
    """Write down which namespaces the token opens; their names. They stay the account's until this is committed."""
    asked = {namespace.pk for namespace in namespaces}
    own = token.account.namespaces.select_for_update(no_key=True).filter(pk__in=asked, new_owner=None)
    found = list(own.order_by("name"))
    if not found or len(found) < len(asked):
        raise ValidationError({"namespaces": _("Please choose from your own namespaces")})
    token.namespaces.set(found)
    return [namespace.name for namespace in found]


def revoke(token: AccessToken, **detail: str) -> bool:
    """End an access token at once; its name is free again.

    :param detail: what the audit trail shall say besides.
    :return: whether it was this call that ended it.
    """
    with transaction.atomic():
        ended = AccessToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
        if ended:
            record("access_token.revoke", _target(token), **detail)
    token.refresh_from_db(fields=["revoked_at"])
    return bool(ended)


def _target(token: AccessToken) -> str:
    """The token as the audit trail names it: names are an account's own."""
    return f"{token.account.account_id}/{token.name}"


def use_is_news(
    last_at: datetime.datetime | None, last_from: str | None, address: str | None, now: datetime.datetime
) -> bool:
    """Whether a use just now is to be written down (``used``), after one at ``last_at`` from ``last_from``."""
    return last_at is None or last_at < now - (_NOTED_EVERY if address == last_from else _MOVES_NOTED_EVERY)


def used(token_pk: int, address: str | None, now: datetime.datetime) -> None:
    """Write down that a token was used, at most once a minute, or once a second when the address is another.

    A token that a whole farm of machines uses at the same time costs few writes, so that none waits for another's.

    :param address: where the request came from, if that is known.
    """
    note_use(AccessToken.objects.filter(pk=token_pk), address, now)


def note_use(row: QuerySet[Any], address: str | None, now: datetime.datetime) -> None:
    """Write the use of something that has ``last_used_at`` and ``last_used_from`` down, unless it is no news."""
    elsewhere = Q(last_used_from__isnull=False) if address is None else ~Q(last_used_from=address)
    row.filter(
        Q(last_used_at=None)
        | Q(last_used_at__lt=now - _NOTED_EVERY)
        | Q(elsewhere, last_used_at__lt=now - _MOVES_NOTED_EVERY)
    ).update(last_used_at=now, last_used_from=address)


def forget_old(now: datetime.datetime) -> int:
    """Remove the rows of access tokens that were revoked, or expired, long ago; how many."""
    end = now - datetime.timedelta(days=settings.OLD_TOKENS_DAYS)
    with transaction.atomic():
        old = list(
            AccessToken.objects.select_for_update(of=("self",))
            .filter(Q(revoked_at__lt=end) | Q(expires_at__lt=end))
            .values_list("pk", flat=True)
        )
        AccessToken.objects.filter(pk__in=old).delete()
        if old:
            record("access_token.forget", "access tokens", number=len(old), older_than=end.isoformat())
    return len(old)
