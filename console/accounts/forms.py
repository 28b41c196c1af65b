"""Forms for sign-in, passwords and the account's name."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, PasswordResetForm, SetPasswordForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.accounts import jobs
from console.accounts.backends import check_console_password
from console.accounts.models import Account, Theme
from console.accounts.preferences import BROWSER, languages, time_zones
from console.accounts.services import check_name, is_sign_in_name
from console.accounts.validators import LONGEST_PASSWORD, TOO_LONG
from console.throttling.hashing import TryAgainLater

_NO_SIGN_IN_NAME = _("Enter your Account ID (twelve digits) or your e-mail address (up to 254 characters).")
_NO_ADDRESS = _("Enter an e-mail address like ann@example.com, with up to 254 characters.")


class EmailAddressField(forms.EmailField):
    """An e-mail address, submitted exactly as typed.

    The input's type is ``text``: with ``email`` browsers convert international domain names to punycode, which would
    differ from the stored address.
    """

    def __init__(self, **options: Any) -> None:
        """Set the maximum length of an account's address."""
        widget = forms.TextInput(
            attrs={"autocomplete": "email", "inputmode": "email", "autocapitalize": "none", "spellcheck": "false"}
        )
        super().__init__(
            max_length=Account._meta.get_field("email").max_length,
            widget=widget,
            error_messages={"required": _("Please enter an e-mail address")},
            **options,
        )

    def run_validators(self, value: Any) -> None:
        """Check the address.

        :raises ValidationError: one sentence, also for two broken rules.
        """
        try:
            super().run_validators(value)
        except ValidationError:
            raise ValidationError(_NO_ADDRESS, code="invalid") from None


class SignInForm(AuthenticationForm):
    """Account ID or e-mail, and the console password.

    A name that is neither an Account ID nor an e-mail address is rejected without counting a password guess.
    """

    error_messages = {
        "invalid_login": _("The Account ID or e-mail and the password do not match. Try again."),
        "inactive": _("The Account ID or e-mail and the password do not match. Try again."),
    }

    username = forms.CharField(
        label=_("Account ID or e-mail"),
        max_length=254,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "autofocus": True}),
        error_messages={"required": _("Please enter your Account ID or e-mail"), "max_length": _NO_SIGN_IN_NAME},
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=LONGEST_PASSWORD,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": _("Please enter your password"), "max_length": TOO_LONG},
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Raise the field's maximum length: Django sets that of an Account ID, too short for an e-mail address."""
        super().__init__(*arguments, **options)
        self.fields["username"].max_length = 254  # type: ignore[attr-defined]
        del self.fields["username"].widget.attrs["maxlength"]

    def clean_username(self) -> str:
        """Check the sign-in name.

        :raises ValidationError: when it is neither twelve digits nor an e-mail address.
        """
        name: str = self.cleaned_data["username"]
        if not is_sign_in_name(name):
            raise ValidationError(_NO_SIGN_IN_NAME, code="malformed")
        return name

    def get_invalid_login_error(self) -> ValidationError:
        """The error message; when rate limited it says when to try again."""
        later: TryAgainLater | None = getattr(self.request, "later", None)
        return ValidationError(later.message, code="later") if later else super().get_invalid_login_error()


class NameForm(forms.Form):
    """The account's display name."""

    name = forms.CharField(
        label=_("Name"),
        max_length=Account._meta.get_field("name").max_length,
        widget=forms.TextInput(attrs={"autocomplete": "name", "autofocus": True}),
        help_text=_("Shown next to what you share with others."),
        error_messages={
            "required": _("Please enter a name"),
            "max_length": _("The name can have up to 100 characters."),
        },
    )

    def clean_name(self) -> str:
        """Validate the name.

        :raises ValidationError: when it has invisible characters.
        """
        name: str = self.cleaned_data["name"]
        check_name(name)
        return name


class PreferencesForm(forms.Form):
    """Theme, time zone and language; the last one only if there is more than one."""

    theme = forms.ChoiceField(label=_("Theme"), choices=Theme.choices, widget=forms.RadioSelect)
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        choices=time_zones,
        widget=forms.Select(attrs={"autocomplete": "off"}),
        help_text=_("For times on pages and in e-mails. The exact time in UTC shows on hover."),
    )
    language = forms.ChoiceField(
        label=_("Language"), choices=languages, widget=forms.Select(attrs={"autocomplete": "off"})
    )

    def __init__(self, account: Account, data: Any = None) -> None:
        """Show what the account has. Leave out the language if there is nothing to choose."""
        initial = {"theme": account.theme, "time_zone": account.time_zone, "language": account.language}
        super().__init__(data, initial={name: value or BROWSER for name, value in initial.items()})
        if len(settings.LANGUAGES) < 2:
            del self.fields["language"]

    def clean(self) -> dict[str, Any]:
        """Give what the account stores."""
        data = super().clean() or {}
        return {name: "" if value == BROWSER else value for name, value in data.items()}


class FirstPasswordChecked:
    """Validates the first of the two password fields, so that all errors are reported at once."""

    def validate_password_for_user(self, user: Any, *names: str, **options: Any) -> None:
        """Validate the password in the first of the two fields, and add its errors there."""
        second = names[0] if names else options.get("password_field_name", "password2")
        first = second.replace("password2", "password1")
        super().validate_password_for_user(user, password_field_name=first)  # type: ignore[misc]


class NewPasswordForm(FirstPasswordChecked, SetPasswordForm):  # type: ignore[type-arg]
    """Set a new console password with a password-reset link."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Put the focus on the first field."""
        super().__init__(*arguments, **options)
        self.fields["new_password1"].widget.attrs["autofocus"] = True


class ChangePasswordForm(FirstPasswordChecked, PasswordChangeForm):
    """Change the console password. Guesses of the old one are rate limited: an attacker may use an open session."""

    def __init__(self, *arguments: Any, request: HttpRequest, **options: Any) -> None:
        """Take the request for the client's address."""
        super().__init__(*arguments, **options)
        self.request = request

    old_password = forms.CharField(
        label=_("Old password"),
        strip=False,
        max_length=LONGEST_PASSWORD,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
        error_messages={"required": _("Please enter your old password"), "max_length": TOO_LONG},
    )

    def clean_old_password(self) -> str:
        """Verify the old password.

        :raises ValidationError: when it is wrong, or when rate limited.
        """
        password: str = self.cleaned_data["old_password"]
        account: Any = self.user
        try:
            correct = check_console_password(account, "", self.request, lambda: account.check_password(password))
        except TryAgainLater as later:
            self.request.later = later  # type: ignore[attr-defined]
            raise ValidationError(later.message, code="later") from None
        if not correct:
            raise ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        return password


class ResetPasswordForm(PasswordResetForm):
    """Request a password-reset e-mail."""

    email = EmailAddressField(label=_("E-mail"))

    def queue_password_reset(self) -> None:
        """Queue a job that sends the e-mails; also without a match, so that the timing does not reveal accounts."""
        jobs.send_password_resets.defer(accounts=[account.pk for account in self.get_users(self.cleaned_data["email"])])
