"""Docker logins: refresh tokens that were issued, and their revocation."""

from __future__ import annotations

import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from console.access.grants import Caller
from console.accounts.models import Account, RegistryCredential
from console.audit.services import record
from console.token_server.models import Login

_CLIENT_LENGTH = 100


def begin(caller: Caller, client: str, address: str | None) -> Login:
    """Record a login. Above the limits, the least recently used login is revoked.

    :param client: the client's name for itself, not verified.
    :param address: the client's IP address, or ``None`` if the server does not know it.
    """
    name = "".join(character for character in client if character.isprintable())[:_CLIENT_LENGTH]
    with transaction.atomic():
        login = Login.objects.create(
            account_id=caller.account, version=caller.version, client=name, created_from=address
        )
        own = Login.objects.filter(account_id=caller.account)
        # Its own first, so that a client that logs in each time revokes no other client's login.
        _revoke_surplus(own.filter(client=name, created_from=address), settings.MOST_LOGINS_OF_A_CLIENT)
        _revoke_surplus(own, settings.MOST_LOGINS)
        record("login.create", f"{caller.account_id}/{login}", actor=caller.account_id, client=name)
    return login


def _revoke_surplus(rows: QuerySet[Login], most: int) -> None:
    """Revoke the least recently used logins among ``rows``, until there are no more than ``most``."""
    surplus = rows.order_by(Coalesce("last_used_at", "created_at").desc(), "id")[most:]
    Login.objects.filter(pk__in=surplus.values("pk")).delete()


def revoke(login: Login, **detail: str) -> bool:
    """Revoke a login at once, in every process.

    :param detail: further facts for the audit event.
    :return: whether this call revoked it.
    """
    with transaction.atomic():
        ended, _rows = Login.objects.filter(pk=login.pk).delete()
        if ended:
            record(
                "login.revoke",
                f"{login.account.account_id}/{login}",
                created_at=login.created_at.isoformat(),
                created_from=login.created_from,
                **detail,
            )
    return bool(ended)


def revoke_all(account: Account) -> int:
    """Revoke all logins of an account at once, those being made included, and return their number.

    The registry password and access tokens stay valid.
    """
    with transaction.atomic():
        # A login that another process is making has the version it read before, and is never valid.
        for credential in RegistryCredential.objects.select_for_update().filter(account=account):
            credential.version += 1
            credential.save(update_fields=["version"])
        ended, _rows = Login.objects.filter(account=account).delete()
        record("login.revoke_all", account.account_id, logins=ended)
    return ended


def forget_old(now: datetime.datetime) -> int:
    """Delete the rows of logins that are no longer valid, and return their number."""
    begun = now - datetime.timedelta(seconds=settings.REFRESH_TOKEN_SECONDS)
    over = Q(created_at__lt=begun) | ~Q(version=F("account__credential__version"))
    with transaction.atomic():
        forgotten: int = Login.objects.filter(pk__in=Login.objects.filter(over).values("pk")).delete()[0]
        if forgotten:
            record("login.forget", "logins", number=forgotten)
    return forgotten
