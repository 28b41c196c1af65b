"""Signing in and out, in the audit trail, at whichever door that is."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver

from console.accounts.models import Account
from console.audit.services import record


@receiver(user_logged_in)
def signed_in(user: Account, **_rest: Any) -> None:
    """Write down that somebody signed in."""
    record("account.sign_in", user.account_id, actor=user.account_id)


@receiver(user_logged_out)
def signed_out(user: Account | None, **_rest: Any) -> None:
    """Write down that somebody signed out, unless nobody was signed in."""
    if isinstance(user, Account):
        record("account.sign_out", user.account_id, actor=user.account_id)
