"""What people type about their accounts."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, PasswordResetForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.accounts import jobs
from console.accounts.backends import check_console_password
from console.guessing.hashing import Later


class SignInForm(AuthenticationForm):
    """Account ID or e-mail, and the console password."""

    error_messages = {
        "invalid_login": _("The Account ID or e-mail and the password do not match. Try again."),
        "inactive": _("The Account ID or e-mail and the password do not match. Try again."),
    }

    username = forms.CharField(
        label=_("Account ID or e-mail"),
        max_length=254,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "autofocus": True}),
        error_messages={"required": _("Please enter your Account ID or e-mail")},
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": _("Please enter your password")},
    )

    def get_invalid_login_error(self) -> ValidationError:
        """Say when a password can be tried again, where none can be now."""
        later: Later | None = getattr(self.request, "later", None)
        return ValidationError(later.message, code="later") if later else super().get_invalid_login_error()


class ChangePasswordForm(PasswordChangeForm):
    """Guesses at the old password count as those at sign-in do: a session may be somebody else's."""

    def __init__(self, *arguments: Any, request: HttpRequest, **options: Any) -> None:
        """Take the request as well, for where it comes from."""
        super().__init__(*arguments, **options)
        self.request = request

    def clean_old_password(self) -> str:
        """Check the old password.

        :raises ValidationError: when it is wrong, or cannot be tried now.
        """
        password: str = self.cleaned_data["old_password"]
        account: Any = self.user
        try:
            right = check_console_password(account, "", self.request, lambda: account.check_password(password))
        except Later as later:
            self.request.later = later  # type: ignore[attr-defined]
            raise ValidationError(later.message, code="later") from None
        if not right:
            raise ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        return password


class ResetPasswordForm(PasswordResetForm):
    """The address that a letter is to be sent to."""

    def queue_letters(self) -> None:
        """Queue a job that sends them: it is queued for nobody, too, and takes the same time then."""
        jobs.send_letters.defer(accounts=[account.pk for account in self.get_users(self.cleaned_data["email"])])
