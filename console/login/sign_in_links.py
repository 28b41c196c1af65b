"""Links that sign in once, for when there is no other way in. Only who may run commands on the server can make one."""

from __future__ import annotations

from django.conf import settings
from django.core import signing
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from console.accounts.models import Account

_SALT = "console.signin.links"


def _state(account: Account) -> str:
    """What is another after each sign-in, new password and end of sessions."""
    known = f"{account.last_login}.{account.get_session_auth_hash()}"
    return salted_hmac(_SALT, known, algorithm="sha256").hexdigest()


def make(account: Account) -> str:
    """A link for ``account``, good once, for ten minutes."""
    token = signing.dumps([account.pk, _state(account)], salt=_SALT)
    return settings.CONSOLE_URL + reverse("sign-in-link", args=[token])


def read(token: str, *, lock: bool = False) -> Account | None:
    """The account that a link is for, while it is good.

    :param lock: whether nobody else is to use it meanwhile; inside a transaction.
    """
    try:
        pk, state = signing.loads(token, salt=_SALT, max_age=settings.SIGN_IN_LINK_SECONDS)
    except signing.BadSignature:
        return None
    accounts = Account.objects.select_for_update(no_key=True) if lock else Account.objects
    account = accounts.filter(pk=pk, is_active=True).first()
    return account if account is not None and constant_time_compare(_state(account), state) else None
