"""Link that confirms a new e-mail address: signed, valid for some hours and for one request of one account."""

from __future__ import annotations

import datetime

from django.conf import settings
from django.core import signing
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from console.accounts.models import Account, EmailChange

_SALT = "console.accounts.email_links"


def state_of(account: Account) -> str:
    """Hash of address, password and sessions; when it changes, the link is invalid."""
    known = f"{account.email} {account.get_session_auth_hash()}"
    return salted_hmac(_SALT, known, algorithm="sha256").hexdigest()


def hours() -> int:
    """Lifetime of a link in hours."""
    return settings.EMAIL_LINK_SECONDS // 3600


def is_good(change: EmailChange) -> bool:
    """Whether the link of a change is still valid."""
    end = change.created_at + datetime.timedelta(seconds=settings.EMAIL_LINK_SECONDS)
    return timezone.now() < end and constant_time_compare(change.state, state_of(change.account))


def make_token(change: EmailChange) -> str:
    """The signed token in the link of a change."""
    return signing.dumps([change.account_id, change.email, change.nonce], salt=_SALT)


def is_token_of(change: EmailChange, token: str) -> bool:
    """Whether ``token`` belongs to this change, and is still valid."""
    try:
        account, email, nonce = signing.loads(token, salt=_SALT, max_age=settings.EMAIL_LINK_SECONDS)
    except signing.BadSignature:
        return False
    same = (account, email) == (change.account_id, change.email) and constant_time_compare(nonce, change.nonce)
    return same and is_good(change)
