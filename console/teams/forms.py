"""Forms of teams: create and change one, add a member."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from console.accounts.models import Account

# What other people read: a browser would fill in the person's own data.
_NAME = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}


class TeamForm(forms.Form):
    """Name and description; the service checks the other rules of names."""

    name = forms.CharField(
        label=_("Name"),
        max_length=30,
        widget=forms.TextInput(attrs=_NAME),
        help_text=_(
            "2 to 30 lowercase letters, digits and single “.”, “_” or “-” in between. Unique across all teams."
        ),
        error_messages={
            "required": _("Please enter a name"),
            "max_length": _("The name must have 2 to 30 characters."),
        },
    )
    description = forms.CharField(
        label=_("Description"),
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"max_length": _("Use at most 200 characters.")},
    )


class CreateTeamForm(TeamForm):
    """The same in a dialog, which begins with the name."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fields["name"].widget.attrs["autofocus"] = True


class MemberForm(forms.Form):
    """Who is added, by Account ID, and whether as a manager."""

    account_id = forms.CharField(
        label=_("Account ID"),
        max_length=20,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "inputmode": "numeric", "spellcheck": "false", "autofocus": True}
        ),
        help_text=_("Twelve digits. People find their own in the account menu."),
        error_messages={
            "required": _("Please enter an Account ID"),
            "max_length": _("An Account ID has twelve digits."),
        },
    )
    manager = forms.BooleanField(
        label=_("Manager: may add and remove members, rename and delete the team"), required=False
    )

    account: Account

    def clean_account_id(self) -> str:
        """Find the account.

        :raises ValidationError: when there is none.
        """
        typed: str = "".join(self.cleaned_data["account_id"].split())
        found = Account.objects.filter(account_id=typed, is_service=False).first()
        if found is None:
            raise forms.ValidationError(_("No account has this Account ID."))
        self.account = found
        return typed
