"""Form for creating a namespace."""

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
