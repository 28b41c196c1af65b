"""Forms for creating an access token."""

from __future__ import annotations

import datetime
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from console.access_tokens.services import name_taken
from console.accounts.models import AccessToken, Account
from console.namespaces.models import Namespace

_ON_A_DATE, _NEVER = "date", "never"


class AccessTokenForm(forms.Form):
    """Name, permissions, namespaces and expiry of a new access token.

    Fields that belong to one choice (the namespaces, the date) are ignored unless that choice is selected.
    """

    name = forms.CharField(
        label=_("Name"),
        max_length=40,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "autofocus": True}
        ),
        help_text=_("Where you use it, such as gitlab-ci. Letters, digits, “-”, “_” and “.”."),
        error_messages={
            "required": _("Please enter a name"),
            "max_length": _("Use 1 to 40 letters, digits, “-”, “_” or “.”, beginning with a letter or digit."),
        },
    )
    access = forms.ChoiceField(
        label=_("Access"),
        choices=[("pull", _("Pull")), ("push", _("Pull and push")), ("delete", _("Pull, push and delete"))],
        initial="pull",
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Please choose what the token may do."),
            "invalid_choice": _("Please choose what the token may do."),
        },
    )
    reach = forms.ChoiceField(
        label=_("Namespaces"),
        choices=[("all", _("All, including future ones")), ("chosen", _("Selected namespaces"))],
        initial="all",
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Please choose where the token may be used."),
            "invalid_choice": _("Please choose where the token may be used."),
        },
    )
    namespaces = forms.ModelMultipleChoiceField(
        Namespace.objects.none(),
        to_field_name="name",
        label=_("Choose namespaces"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "required": _("Please choose at least one namespace."),
            "invalid_choice": _("Please choose from your own namespaces."),
            "invalid_pk_value": _("Please choose from your own namespaces."),
        },
    )
    expires = forms.ChoiceField(
        label=_("Expires"),
        choices=[
            ("30", _("In 30 days")),
            ("60", _("In 60 days")),
            ("90", _("In 90 days")),
            ("365", _("In a year")),
            (_ON_A_DATE, _("On a date")),
            (_NEVER, _("Never")),
        ],
        initial="90",
        error_messages={
            "required": _("Please choose how long the token works."),
            "invalid_choice": _("Please choose how long the token works."),
        },
    )
    date = forms.DateField(
        label=_("Last day"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        help_text=_("The token works until the end of this day (UTC)."),
        error_messages={
            "required": _("Please enter a date"),
            "invalid": _("Please enter a date like 2027-01-31"),
        },
    )

    def __init__(self, account: Account, *arguments: Any, **options: Any) -> None:
        """Offer the account's own namespaces, except those being transferred; hide the choice if there are none."""
        super().__init__(*arguments, **options)
        self.account = account
        own = Namespace.objects.visible_to(account).filter(new_owner=None).order_by("name")
        self.fields["namespaces"].queryset = own  # type: ignore[attr-defined]
        if not own.exists():
            del self.fields["reach"], self.fields["namespaces"]

    def clean_name(self) -> str:
        """Validate the name, and check that no other token of the account has it.

        :raises ValidationError: with one sentence for the broken rule.
        """
        name: str = self.cleaned_data["name"]
        AccessToken._meta.get_field("name").run_validators(name)
        if AccessToken.objects.visible_to(self.account).filter(name=name).exists():
            raise name_taken(name)
        return name

    def clean(self) -> dict[str, Any]:
        """Convert the choices to the service's arguments, such as ``can_push`` and ``expires_at``."""
        data = super().clean() or self.cleaned_data
        data["can_push"] = data.get("access") in {"push", "delete"}
        data["can_delete"] = data.get("access") == "delete"
        if "reach" not in self.fields and self.data.get("reach", "all") != "all":
            # The selected namespaces were deleted meanwhile; an empty selection must not mean all namespaces.
            self.add_error(None, _("Please choose from your own namespaces."))
        if data.get("reach", "all") == "all":
            data["namespaces"] = None
            self.errors.pop("namespaces", None)
        if data.get("expires") != _ON_A_DATE:
            self.errors.pop("date", None)
        data["expires_at"] = self._end(data)
        return data

    def _end(self, data: dict[str, Any]) -> datetime.datetime | None:
        """When the token expires."""
        choice, now = data.get("expires", ""), timezone.now()
        if choice.isdecimal():
            return now + datetime.timedelta(days=int(choice))
        if choice != _ON_A_DATE or "date" not in data:
            return None
        end = datetime.datetime.combine(data["date"], datetime.time(23, 59, 59), datetime.UTC)
        if end <= now:
            self.add_error("date", _("This date is in the past. Choose a later one."))
        return end
