"""Docker logins: refresh tokens that were given out, and how each is revoked."""

from __future__ import annotations

import datetime
import uuid

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from console.access.grants import Caller
from console.access_tokens import services as access_tokens
from console.accounts.models import Account, RegistryCredential
from console.audit.services import record
from console.token_server.models import Login

_CLIENT_LENGTH = 100


def begin(caller: Caller, client: str, address: str | None) -> Login:
    """Write down that a client logs in. Of very many logins the one that was used longest ago ends.

    :param client: what the client calls itself, which it may do as it likes.
    """
    name = "".join(character for character in client if character.isprintable())[:_CLIENT_LENGTH]
    with transaction.atomic():
        login = Login.objects.create(
            account_id=caller.account, version=caller.version, client=name, created_from=address
        )
        own = Login.objects.filter(account_id=caller.account)
        # First its own, so that a client that logs in each time ends nobody else's.
        _keep(own.filter(client=name, created_from=address), settings.MOST_LOGINS_OF_A_CLIENT)
        _keep(own, settings.MOST_LOGINS)
        record("login.create", f"{caller.account_id}/{login}", actor=caller.account_id, client=name)
    return login


def _keep(rows: QuerySet[Login], most: int) -> None:
    """End the logins among ``rows`` that were used longest ago, until there are no more than ``most``."""
    surplus = rows.order_by(Coalesce("last_used_at", "created_at").desc(), "id")[most:]
    Login.objects.filter(pk__in=surplus.values("pk")).delete()


def used(login_pk: uuid.UUID, address: str | None, now: datetime.datetime) -> None:
    """Write down that a login was used, as often as ``access_tokens.used`` does."""
    access_tokens.note_use(Login.objects.filter(pk=login_pk), address, now)


def revoke(login: Login, **detail: str) -> bool:
    """End a login at once, in every process.

    :param detail: what the audit trail shall say besides.
    :return: whether it was this call that ended it.
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
    """End all logins of an account at once, those too that are just being made; how many there were.

    The registry password and access tokens go on working.
    """
    with transaction.atomic():
        # A login that another process is making bears the version that it read before, and so never opens anything.
        for credential in RegistryCredential.objects.select_for_update().filter(account=account):
            credential.version += 1
            credential.save(update_fields=["version"])
        ended, _rows = Login.objects.filter(account=account).delete()
        record("login.revoke_all", account.account_id, logins=ended)
    return ended


def forget_old(now: datetime.datetime) -> int:
    """Remove the rows of logins that open nothing any more; how many."""
    begun = now - datetime.timedelta(seconds=settings.REFRESH_TOKEN_SECONDS)
    over = Q(created_at__lt=begun) | ~Q(version=F("account__credential__version"))
    with transaction.atomic():
        forgotten: int = Login.objects.filter(pk__in=Login.objects.filter(over).values("pk")).delete()[0]
        if forgotten:
            record("login.forget", "logins", number=forgotten)
    return forgotten
