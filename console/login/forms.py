"""Forms for second factors and reauthentication."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from console.accounts.backends import check_console_password
from console.accounts.models import Account
from console.accounts.validators import LONGEST_PASSWORD, TOO_LONG
from console.login import factors
from console.throttling.hashing import TryAgainLater

_NO_CODE = gettext_lazy("This code is too long.")


def _too_many_codes(later: TryAgainLater) -> str:
    minutes = -(-later.seconds // 60)
    return ngettext(
        "Too many wrong codes. Try again in %(count)d minute.",
        "Too many wrong codes. Try again in %(count)d minutes.",
        minutes,
    ) % {"count": minutes}


class CodeForm(forms.Form):
    """A code of the authenticator app or a recovery code; sets ``factor``."""

    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=40,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "autocapitalize": "none", "autofocus": True}),
        error_messages={"required": gettext_lazy("Please enter a code"), "max_length": _NO_CODE},
    )

    def __init__(self, *arguments: Any, account: Account, request: HttpRequest, **options: Any) -> None:
        """Take the account, and the request for the client's address."""
        super().__init__(*arguments, **options)
        self.account, self.request = account, request
        self.factor: Any = None

    def clean_code(self) -> str:
        """Verify the code.

        :raises ValidationError: when it is wrong, or when rate limited.
        """
        code: str = self.cleaned_data["code"]
        try:
            self.factor = factors.check_code(self.request, self.account, code)
        except TryAgainLater as later:
            self.request.later = later  # type: ignore[attr-defined]
            raise ValidationError(_too_many_codes(later), code="later") from None
        if self.factor is None:
            raise ValidationError(_("This code is wrong or was already used. Wait for the next one."), code="wrong")
        return code


class PasswordForm(forms.Form):
    """Reauthentication with the console password; guesses are rate limited as at sign-in."""

    password = forms.CharField(
        label=gettext_lazy("Password"),
        strip=False,
        max_length=LONGEST_PASSWORD,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
        error_messages={"required": gettext_lazy("Please enter your password"), "max_length": TOO_LONG},
    )

    def __init__(self, *arguments: Any, account: Account, request: HttpRequest, **options: Any) -> None:
        """Take the account, and the request for the client's address."""
        super().__init__(*arguments, **options)
        self.account, self.request = account, request

    def clean_password(self) -> str:
        """Verify the password.

        :raises ValidationError: when it is wrong, or when rate limited.
        """
        password: str = self.cleaned_data["password"]
        try:
            correct = check_console_password(
                self.account, "", self.request, lambda: self.account.check_password(password)
            )
        except TryAgainLater as later:
            self.request.later = later  # type: ignore[attr-defined]
            raise ValidationError(later.message, code="later") from None
        if not correct:
            raise ValidationError(_("Wrong password. Try again."), code="wrong")
        return password


class AppForm(forms.Form):
    """The first code of a new authenticator app."""

    code = forms.CharField(
        label=gettext_lazy("Code from the app"),
        max_length=40,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
        error_messages={"required": gettext_lazy("Please enter a code"), "max_length": _NO_CODE},
    )


class PasskeyNameForm(forms.Form):
    """The name of a passkey."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=factors.LONGEST_NAME,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
        help_text=gettext_lazy("For example, the device it is on."),
        error_messages={
            "required": gettext_lazy("Please enter a name"),
            "max_length": gettext_lazy("The name can have up to 60 characters."),
        },
    )
