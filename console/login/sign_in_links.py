"""Sign-in links, which work once: account recovery by an operator who can run commands on the server."""

from __future__ import annotations

from django.conf import settings
from django.core import signing
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from console.accounts.models import Account

_SALT = "console.signin.links"


def _state(account: Account) -> str:
    """State that changes with each sign-in, new password and end of all sessions, which invalidates the link."""
    known = f"{account.last_login}.{account.get_session_auth_hash()}"
    return salted_hmac(_SALT, known, algorithm="sha256").hexdigest()


def make(account: Account) -> str:
    """A sign-in link for ``account``, which works once within ten minutes."""
    token = signing.dumps([account.pk, _state(account)], salt=_SALT)
    return settings.CONSOLE_URL + reverse("sign-in-link", args=[token])


def read(token: str, *, lock: bool = False) -> Account | None:
    """The account of a valid link; otherwise ``None``.

    :param lock: whether to lock the account's row, so that the link works only once in a race; needs a transaction.
    """
    try:
        pk, state = signing.loads(token, salt=_SALT, max_age=settings.SIGN_IN_LINK_SECONDS)
    except signing.BadSignature:
        return None
    accounts = Account.objects.select_for_update(no_key=True) if lock else Account.objects
    account = accounts.filter(pk=pk, is_active=True, is_service=False).first()
    return account if account is not None and constant_time_compare(_state(account), state) else None
