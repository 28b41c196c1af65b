"""Forms for creating and describing a service account."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from console.access.roles import Role

_DESCRIPTION_HELP = _("What uses it, such as the release pipeline.")
_TOO_LONG = _("The description can have up to 200 characters.")


def _role(value: str) -> Role | None:
    return Role(int(value)) if int(value) else None


class DescriptionForm(forms.Form):
    """The description of a service account."""

    description = forms.CharField(
        label=_("Description"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_DESCRIPTION_HELP,
        error_messages={"max_length": _TOO_LONG},
    )


class ServiceAccountForm(forms.Form):
    """Name, description and role of a new service account."""

    name = forms.CharField(
        label=_("Name"),
        max_length=30,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "autofocus": True}
        ),
        help_text=_("2 to 30 lowercase letters, digits, “.”, “_” or “-”, such as ci."),
        error_messages={
            "required": _("Please enter a name"),
            "max_length": _("The name must have 2 to 30 characters."),
        },
    )
    description = DescriptionForm.base_fields["description"]
    role = forms.TypedChoiceField(
        label=_("Role"),
        coerce=_role,
        choices=[
            (int(Role.READER), _("Reader: pull from all images of the namespace")),
            (int(Role.WRITER), _("Writer: pull and push")),
            (int(Role.MAINTAINER), _("Maintainer: pull, push and delete")),
            ("0", _("None yet: give it roles on single images later")),
        ],
        initial=int(Role.READER),
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Please choose a role."),
            "invalid_choice": _("Please choose a role."),
        },
    )
