"""What people type to activate the service, and to change their registry password."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _


class RegistryPasswordForm(forms.Form):
    """The registry password, twice. Its other rules are the service's to judge."""

    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("8 to 64 characters; not your console password."),
        error_messages={"required": _("Please enter a password")},
    )
    confirm = forms.CharField(
        label=_("Confirm password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        error_messages={"required": _("Please enter the password again")},
    )

    def clean(self) -> dict[str, Any]:
        """Both must be the same."""
        data = super().clean() or {}
        if "password" in data and "confirm" in data and data["password"] != data["confirm"]:
            self.add_error("confirm", _("The two passwords do not match"))
        return data


class ActivationForm(RegistryPasswordForm):
    """User name, password and, if wanted, the first namespace."""

    username = forms.CharField(
        label=_("User name"),
        max_length=30,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
        help_text=_("Who you are for docker login: 4 to 30 lowercase letters, digits, “.”, “_” or “-”."),
        error_messages={
            "required": _("Please enter a user name"),
            "max_length": _("Use 4 to 30 lowercase letters, digits, “.”, “_” or “-”."),
        },
    )
    namespace = forms.CharField(
        label=_("Namespace"),
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
        help_text=_("Optional: your first one. 2 to 30 lowercase letters, digits and single “.”, “_” or “-” between."),
    )
    field_order = ["username", "password", "confirm", "namespace"]
