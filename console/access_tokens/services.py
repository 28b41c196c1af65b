"""Access tokens: secrets that programs use in place of a registry password.

A secret is ``myimg_``, 43 random letters and digits (256 bits) and a checksum of 6 digits, so that secret scanners
recognise it. All its characters are safe in shells, YAML and URLs.
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
from console.access.token_secrets import hash_secret, new_secret
from console.accounts.models import AccessToken, Account
from console.audit.services import record
from console.database.conflicts import insert
from console.namespaces.models import Namespace
from console.repositories.models import Image

_HINT_LENGTH = 4


def create(
    account: Account,
    name: str,
    *,
    can_push: bool,
    can_delete: bool = False,
    can_manage: bool = False,
    namespaces: Iterable[Namespace] | None = None,
    images: Iterable[Image] | None = None,
    expires_at: datetime.datetime | None = None,
) -> tuple[AccessToken, str]:
    """Create an access token. Its secret is returned only here.

    :param account: whose token it is: a person's, or a service account.
    :param can_delete: whether it may delete as well, which needs ``can_push``.
    :param can_manage: whether it may manage as well, which needs ``can_delete``. At the registry there is nothing more
        to manage than to delete.
    :param namespaces: the selected ones. ``None``, with ``images`` ``None``, for all that the account has a role on,
        including future ones.
    :param images: single images that are selected beside the namespaces.
    :param expires_at: when it expires; ``None`` for never.
    :return: the token and its secret.
    :raises ValueError: for ``can_delete`` without ``can_push``, or ``can_manage`` without ``can_delete``.
    :raises ValidationError: keyed ``name`` (``code="taken"`` or a broken rule of names), ``namespaces`` or
        ``expires_at``; without a key when the account may not have one (more).
    """
    if can_delete and not can_push:
        raise ValueError("an access token that may delete must be one that may push")
    if can_manage and not can_delete:
        raise ValueError("an access token that may manage must be one that may delete")
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
        can_manage=can_manage,
        all_namespaces=namespaces is None and images is None,
        expires_at=expires_at,
    )
    token.clean_fields(exclude=["account"])
    with transaction.atomic():
        # One creator at a time for one account, or two at once could pass its quota together.
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if refusal := quotas.refuse_access_token(AccessToken.objects.visible_to(account).count()):
            raise ValidationError(refusal, code="quota")
        if not insert(token):
            raise ValidationError({"name": name_taken(token.name, account)})
        facts: dict[str, Any] = {"can_manage": True} if can_manage else {}
        names = None if token.all_namespaces else _choose(token, namespaces or (), images or ())
        record(
            "access_token.create",
            _target(token),
            can_push=can_push,
            can_delete=can_delete,
            namespaces=names if names is not None else "all",
            expires_at=expires_at.isoformat() if expires_at else None,
            **facts,
        )
    return token, secret


def name_taken(name: str, account: Account) -> ValidationError:
    """The validation error for a name that the account already uses."""
    if account.is_service:
        sentence = _("This service account already has an access token named “%s”. Try another name.")
    else:
        sentence = _("You already have an access token named “%s”. Try another name.")
    return ValidationError(sentence % name, code="taken")


def selectable_namespaces(account: Account) -> QuerySet[Namespace]:
    """The namespaces that a token can be narrowed to: those in which the account has a role, not being transferred."""
    return Namespace.objects.visible_to(account).filter(new_owner=None)


def selectable_images(account: Account) -> QuerySet[Image]:
    """The images that a token can be narrowed to: those that the account has a role on, in no transfer."""
    return Image.objects.visible_to(account).filter(namespace__new_owner=None)


def no_access_to(name: str = "") -> ValidationError:
    """The validation error for a selection that the account has no role on; the same whether it exists or not."""
    if name:
        return ValidationError(_("You have no access to “%s”. Check the name.") % name, code="no-access")
    return ValidationError(_("Please choose from the namespaces and images that you have access to."), code="no-access")


def _choose(token: AccessToken, namespaces: Iterable[Namespace], images: Iterable[Image]) -> list[str]:
    """Narrow the token to these, and lock their namespaces until the commit; returns their names.

    The locks keep a concurrent transfer or deletion from missing what is stored here.
    """
    asked, asked_images = {namespace.pk for namespace in namespaces}, {image.pk for image in images}
    around = Image.objects.filter(pk__in=asked_images).values("namespace")
    wanted = Namespace.objects.filter(Q(pk__in=asked) | Q(pk__in=around)).order_by("pk")
    list(wanted.select_for_update(no_key=True).values_list("pk", flat=True))
    found = list(selectable_namespaces(token.account).filter(pk__in=asked).order_by("name"))
    found_images = list(selectable_images(token.account).filter(pk__in=asked_images).order_by("full_name"))
    if not asked | asked_images or len(found) < len(asked) or len(found_images) < len(asked_images):
        raise ValidationError({"namespaces": no_access_to()})
    token.namespaces.set(found)
    token.images.set(found_images)
    return [*(namespace.name for namespace in found), *(image.full_name for image in found_images)]


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
    """The token's name in the audit log: behind the Account ID, or the user name of a service account."""
    account = token.account
    return f"{account.name if account.is_service else account.account_id}/{token.name}"


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
