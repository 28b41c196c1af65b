"""End service accounts: when they are deleted, and with their namespace."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from console.accounts.models import AccessToken, Account, RegistryCredential
from console.accounts.services import set_active
from console.audit.services import record
from console.membership.models import Grant, ServiceAccount
from console.namespaces.models import Namespace


def end(service: ServiceAccount, **detail: Any) -> None:
    """Delete a service account. Call it in a transaction, with its namespace locked.

    Its access tokens are revoked, its roles are taken, its account is deactivated for good, and its user name is free.
    The account itself stays, so that the audit log and what it pushed still have its name.

    :param detail: further facts for the audit event.
    """
    account = Account.objects.select_for_update(no_key=True).get(pk=service.account_id)
    tokens = AccessToken.objects.filter(account=account, revoked_at=None)
    names = sorted(tokens.values_list("name", flat=True))
    tokens.update(revoked_at=timezone.now())
    Grant.objects.filter(account=account).delete()
    service.delete()
    if account.is_active:
        set_active(account, False)
    RegistryCredential.objects.filter(account=account).delete()
    record("service_account.delete", account.name, access_tokens=names, **detail)


def end_all(namespace: Namespace) -> None:
    """Delete all service accounts of a namespace that is being deleted. Call it in a transaction, with the lock."""
    for service in ServiceAccount.objects.filter(namespace=namespace).order_by("pk"):
        end(service, by="namespace.delete")
