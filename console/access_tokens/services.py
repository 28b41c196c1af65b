"""Access tokens: secrets that programs use in place of a registry password.

A secret is ``myimg_``, 43 random letters and digits (256 bits) and a checksum of 6 digits, so that secret scanners
recognise it. All its characters are safe in shells, YAML and URLs.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from console.access import quotas
from console.access.token_secrets import hash_secret, new_secret
from console.accounts.models import AccessToken, Account
from console.audit.services import record
from console.database.conflicts import insert
from console.namespaces.models import Namespace

_HINT_LENGTH = 4


def create(
    account: Account,
    name: str,
    *,
    can_push: bool,
    can_delete: bool = False,
    namespaces: Iterable[Namespace] | None = None,
    expires_at: datetime.datetime | None = None,
) -> tuple[AccessToken, str]:
    """Create an access token. Its secret is returned only here.

    :param can_delete: whether it may delete as well, which needs ``can_push``.
    :param namespaces: the selected ones; ``None`` for all of the account's, including future ones.
    :param expires_at: when it expires; ``None`` for never.
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
    """The validation error for a name that the account already uses."""
    return ValidationError(_("You already have an access token named “%s”. Try another name.") % name, code="taken")


def _choose(token: AccessToken, namespaces: Iterable[Namespace]) -> list[str]:
    """Restrict the token to these namespaces, and lock them until the commit; returns their names."""
    asked = {namespace.pk for namespace in namespaces}
    own = token.account.namespaces.select_for_update(no_key=True).filter(pk__in=asked, new_owner=None)
    found = list(own.order_by("name"))
    if not found or len(found) < len(asked):
        raise ValidationError({"namespaces": _("Please choose from your own namespaces.")})
    token.namespaces.set(found)
    return [namespace.name for namespace in found]


def revoke(token: AccessToken, **detail: str) -> bool:
    """Revoke an access token at once; its name can be used again.

    :param detail: further facts for the audit event.
    :return: whether this call revoked it.
    """
    with transaction.atomic():
        ended = AccessToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
        if ended:
            record("access_token.revoke", _target(token), **detail)
    token.refresh_from_db(fields=["revoked_at"])
    return bool(ended)


def _target(token: AccessToken) -> str:
    """The token's name in the audit log, unique within the account."""
    return f"{token.account.account_id}/{token.name}"


def forget_old(now: datetime.datetime) -> int:
    """Delete access tokens that were revoked, or expired, long ago, and return their number."""
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
