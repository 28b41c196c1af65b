"""Rules for console passwords beyond Django's own."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

# Characters. Sign-in refuses longer ones without hashing them, so none may be chosen either.
LONGEST_PASSWORD = 4096
TOO_LONG = _("The password is too long. Use at most 4,096 characters.")


class MaximumLengthValidator:
    """Named by ``AUTH_PASSWORD_VALIDATORS``: refuses a password that could be set and never be typed at sign-in."""

    def validate(self, password: str, user: Any = None) -> None:
        """Check the length.

        :raises ValidationError: when it is longer than ``LONGEST_PASSWORD``.
        """
        if len(password) > LONGEST_PASSWORD:
            raise ValidationError(TOO_LONG, code="password_too_long")

    def get_help_text(self) -> str:
        """What stands beside the field where a password is chosen."""
        return str(_("Your password can have up to 4,096 characters."))
