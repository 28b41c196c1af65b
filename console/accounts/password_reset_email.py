"""Password-reset e-mail, and its token generator."""

from __future__ import annotations

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from console.accounts import email
from console.accounts.models import Account


class PasswordResetTokens(PasswordResetTokenGenerator):
    """Django's tokens, but deactivating the account invalidates them for ever.

    Otherwise an old password-reset e-mail would become valid again when the account is reactivated.
    """

    def check_token(self, user: Account | None, token: str | None) -> bool:
        """Whether ``token`` is valid for the account."""
        return user is not None and user.is_active and not user.is_service and super().check_token(user, token)

    def _make_hash_value(self, user: Account, timestamp: int) -> str:
        return f"{super()._make_hash_value(user, timestamp)} {user.sessions_ended}"


reset_tokens = PasswordResetTokens()


def send(account: Account) -> None:
    """Send the password-reset e-mail to an account's address.

    :raises OSError: when the mail server cannot be reached, or rejects the e-mail (``smtplib.SMTPException``).
    """
    context = {
        "user": account,
        "uid": urlsafe_base64_encode(force_bytes(account.pk)),
        "token": reset_tokens.make_token(account),
    }
    email.send("password_reset", account.email or "", context)
