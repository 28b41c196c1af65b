"""Forms for creating a namespace, and for handing it over."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class NamespaceForm(forms.Form):
    """The name; the service checks its other rules."""

    name = forms.CharField(
        label=_("Name"),
        max_length=30,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "autofocus": True}
        ),
        help_text=_(
            "2 to 30 lowercase letters, digits and single “.”, “_” or “-” in between. Unique across all users."
        ),
        error_messages={
            "required": _("Please enter a name"),
            "max_length": _("The name must have 2 to 30 characters."),
        },
    )


class HandOverForm(forms.Form):
    """The Account ID of who gets the namespace."""

    account_id = forms.CharField(
        label=_("Account ID"),
        max_length=12,
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "numeric", "autofocus": True}),
        help_text=_("The twelve digits in the other person’s account menu."),
        error_messages={
            "required": _("Please enter an Account ID"),
            "max_length": _("An Account ID has twelve digits."),
        },
    )
