"""Audit event for signing out. Signing in is recorded in ``console.login.sign_in``."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver

from console.accounts.models import Account
from console.audit.services import record


@receiver(user_logged_out)
def signed_out(user: Account | None, **_rest: Any) -> None:
    """Record an audit event for signing out; nothing for an anonymous session."""
    if isinstance(user, Account):
        record("account.sign_out", user.account_id, actor=user.account_id)
