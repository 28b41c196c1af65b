"""What people type about their accounts."""

from __future__ import annotations

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.utils.translation import gettext_lazy as _


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
