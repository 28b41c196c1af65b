"""Create, describe and delete service accounts, and their access tokens.

Every change locks the namespace and checks after that whether the actor may manage its members.
"""

from __future__ import annotations

import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from console.access import quotas
from console.access.roles import Role
from console.access_tokens import services as access_tokens
from console.accounts.models import AccessToken, Account, RegistryCredential, new_account_id
from console.audit.services import record
from console.membership.models import ServiceAccount
from console.namespaces.models import Namespace
from console.sharing import service_accounts as ending
from console.sharing.services import give_role, lock_namespace, require_manager

# An owner is a person: service accounts cannot manage members.
ROLES = (Role.READER, Role.WRITER, Role.MAINTAINER)


def create(
    actor: Account | None, namespace: Namespace, name: str, description: str = "", role: Role | None = Role.READER
) -> ServiceAccount:
    """Create a service account: an account without password and e-mail, whose user name is ``NAMESPACE+NAME``.

    :param actor: who creates it; ``None`` for an administrator or a command, whose right the caller has checked.
    :param role: its role on the namespace, up to Maintainer; ``None`` for none yet, to give it roles on single images.
    :raises ValidationError: when the actor may not, a limit is reached, or keyed ``name``, ``description``, ``role``.
    """
    if role is not None and role not in ROLES:
        raise ValidationError({"role": _("A service account can be Reader, Writer or Maintainer.")})
    with transaction.atomic():
        locked = _lock(actor, namespace)
        if locked.in_transfer:
            raise ValidationError(
                _("The namespace is being transferred to another account. Try again when the transfer has finished.")
            )
        service = ServiceAccount(namespace=locked, name=name.strip(), description=description.strip(), created_by=actor)
        service.clean_fields(exclude=["account"])
        if len(service.name) < 2:
            raise ValidationError({"name": _("The name must have 2 to 30 characters.")})
        if refusal := quotas.refuse_service_account(locked.service_accounts.count()):
            raise ValidationError(refusal, code="quota")
        username = f"{locked.name}+{service.name}"
        _require_free_name(service, username)
        service.account = _new_account(username)
        service.save(force_insert=True)
        record("service_account.create", username, description=service.description)
        if role is not None:
            give_role(actor, locked, service.account, role)
    return service


def _new_account(username: str) -> Account:
    account = Account(name=username, is_service=True)
    account.set_unusable_password()
    while Account.objects.filter(account_id=account.account_id).exists():
        account.account_id = new_account_id()
    account.save()
    RegistryCredential.objects.create(account=account, username=username, password="", activated_at=timezone.now())
    return account


def _require_free_name(service: ServiceAccount, username: str) -> None:
    """Check the name: registry tokens of a deleted service account name it until they have expired."""
    if ServiceAccount.objects.filter(namespace=service.namespace, name=service.name).exists():
        sentence = _("The namespace already has a service account named “%s”. Try another name.")
        raise ValidationError({"name": ValidationError(sentence % service.name, code="taken")})
    since = timezone.now() - datetime.timedelta(seconds=settings.NAME_HOLD_SECONDS)
    former = AccessToken.objects.filter(
        account__is_service=True, account__is_active=False, account__name=username, revoked_at__gt=since
    )
    if former.exists():
        sentence = _(
            "A service account named “%s” was deleted a moment ago. Try again in %d minutes, or choose another."
        )
        minutes = -(-settings.NAME_HOLD_SECONDS // 60)
        raise ValidationError({"name": ValidationError(sentence % (service.name, minutes), code="held")})


def describe(actor: Account | None, service: ServiceAccount, description: str) -> None:
    """Change the description.

    :raises ValidationError: when the actor may not, or keyed ``description``.
    """
    with transaction.atomic():
        current = _lock_service(actor, service)
        old, current.description = current.description, description.strip()
        current.clean_fields(exclude=["account", "namespace", "created_by"])
        if old != current.description:
            current.save(update_fields=["description"])
            changes = {"description": [old, current.description]}
            record("service_account.change", current.account.name, changes=changes)
    service.description = current.description


def delete(actor: Account | None, service: ServiceAccount) -> None:
    """Delete a service account: its access tokens and roles end at once, for good.

    :raises ValidationError: when the actor may not, or it was deleted meanwhile.
    """
    with transaction.atomic():
        ending.end(_lock_service(actor, service))


def create_token(actor: Account | None, service: ServiceAccount, name: str, **options: Any) -> tuple[AccessToken, str]:
    """Create an access token of a service account; its secret is returned only here.

    :param options: see ``console.access_tokens.services.create``.
    :raises ValidationError: when the actor may not, the service account is deactivated, or keyed.
    """
    with transaction.atomic():
        current = _lock_service(actor, service)
        if not current.account.is_active:
            raise ValidationError(_("An administrator has deactivated this service account."))
        return access_tokens.create(current.account, name, **options)


def revoke_token(actor: Account | None, service: ServiceAccount, token: AccessToken) -> bool:
    """Revoke an access token of a service account; returns whether this call revoked it.

    :raises ValidationError: when the actor may not, or the service account was deleted meanwhile.
    """
    with transaction.atomic():
        current = _lock_service(actor, service)
        if token.account_id != current.account_id:
            raise ValueError("the access token is of another account")
        return access_tokens.revoke(token)


def _lock(actor: Account | None, namespace: Namespace) -> Namespace:
    locked = lock_namespace(namespace)
    require_manager(actor, locked, None)
    return locked


def _lock_service(actor: Account | None, service: ServiceAccount) -> ServiceAccount:
    _lock(actor, service.namespace)
    current = ServiceAccount.objects.select_related("account", "namespace").filter(pk=service.pk).first()
    if current is None:
        raise ValidationError(_("The service account no longer exists."))
    return current
