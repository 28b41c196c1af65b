"""Forms for activation, and for changing the registry password."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from console.accounts.models import Account
from console.accounts.services import check_registry_password
from console.activation import services


class RegistryPasswordForm(forms.Form):
    """The registry password, twice."""

    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("8 to 64 characters. This is not your console password."),
        error_messages={"required": _("Please enter a password")},
    )
    confirm = forms.CharField(
        label=_("Confirm password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        error_messages={"required": _("Please enter the password again")},
    )

    def __init__(self, account: Account, *arguments: Any, **options: Any) -> None:
        """Take the account, for its password rules."""
        super().__init__(*arguments, **options)
        self.account = account

    def clean(self) -> dict[str, Any]:
        """Both passwords must be equal and valid; errors of all fields are reported at once."""
        data = super().clean() or self.cleaned_data
        if "password" in data and "confirm" in data and data["password"] != data["confirm"]:
            self.add_error("confirm", _("The two passwords do not match"))
        self.check(data)
        return data

    def check(self, data: dict[str, Any]) -> None:
        """Validate the input with the rules of the service."""
        credential = self.account.registry_credential
        if credential is not None and "password" in data:
            try:
                check_registry_password(data["password"], self.account, credential.username)
            except ValidationError as problem:
                self.add_error("password", problem)


class ActivationForm(RegistryPasswordForm):
    """User name, password and, optionally, the first namespace."""

    username = forms.CharField(
        label=_("User name"),
        max_length=30,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
        help_text=_("For docker login. 4 to 30 lowercase letters, digits, “.”, “_” or “-”."),
        error_messages={
            "required": _("Please enter a user name"),
            "max_length": _("Use 4 to 30 lowercase letters, digits, “.”, “_” or “-”."),
        },
    )
    namespace = forms.CharField(
        label=_("Namespace"),
        required=False,
        max_length=30,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
        help_text=_(
            "The first part of your images’ names, as in payments/app. You need one to push. "
            "2 to 30 lowercase letters, digits and single “.”, “_” or “-” in between."
        ),
        error_messages={"max_length": _("The name must have 2 to 30 characters.")},
    )
    field_order = ["username", "password", "confirm", "namespace"]

    def check(self, data: dict[str, Any]) -> None:
        """Validate the input with the rules of the service, and check that both names are free."""
        entered = (data.get(name) for name in ("username", "password", "namespace"))
        for name, sentences in services.find_problems(self.account, *entered).items():
            self.add_error(name, [ValidationError(one) for one in sentences])
