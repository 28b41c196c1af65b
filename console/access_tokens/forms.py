"""Forms for creating an access token."""

from __future__ import annotations

import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from console.access_tokens import services as access_tokens
from console.accounts.models import AccessToken, Account
from console.namespaces.models import Namespace

_ON_A_DATE, _NEVER = "date", "never"
# More namespaces than this are typed, not ticked.
MOST_TICK_BOXES = 30
# Names that can be typed for one token.
MOST_NAMES = 100


class AccessTokenForm(forms.Form):
    """Name, permissions, namespaces, images and expiry of a new access token.

    Fields that belong to one choice (the namespaces and images, the date) are ignored unless that choice is selected.
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
        label=_("Namespaces and images"),
        choices=[("all", _("All, including future ones")), ("chosen", _("Selected namespaces and images"))],
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
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "invalid_choice": _("Please choose from the namespaces and images that you have access to."),
            "invalid_pk_value": _("Please choose from the namespaces and images that you have access to."),
        },
    )
    names = forms.CharField(
        label=_("Images"),
        required=False,
        widget=forms.Textarea(
            attrs={"rows": 3, "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
        help_text=_("One per line, such as team/app. A namespace can be typed here as well, such as team."),
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
        """Offer what the account has a role on, except what is being transferred; hide the choice if there is nothing.

        Many namespaces are typed: a long list of tick boxes is hard to read.
        """
        super().__init__(*arguments, **options)
        self.account = account
        selectable = access_tokens.selectable_namespaces(account).order_by("name")
        count = len(selectable[: MOST_TICK_BOXES + 1])
        self.fields["namespaces"].queryset = selectable  # type: ignore[attr-defined]
        if not count:
            del self.fields["reach"], self.fields["namespaces"], self.fields["names"]
        elif count > MOST_TICK_BOXES:
            del self.fields["namespaces"]
            self.fields["names"].label = _("Choose namespaces and images")
            self.fields["names"].help_text = _("One per line, such as team or team/app.")

    def clean_name(self) -> str:
        """Validate the name, and check that no other token of the account has it.

        :raises ValidationError: with one sentence for the broken rule.
        """
        name: str = self.cleaned_data["name"]
        AccessToken._meta.get_field("name").run_validators(name)
        if AccessToken.objects.visible_to(self.account).filter(name=name).exists():
            raise access_tokens.name_taken(name, self.account)
        return name

    def clean(self) -> dict[str, Any]:
        """Convert the choices to the service's arguments, such as ``can_push`` and ``expires_at``."""
        data = super().clean() or self.cleaned_data
        data["can_push"] = data.get("access") in {"push", "delete"}
        data["can_delete"] = data.get("access") == "delete"
        if "reach" not in self.fields and self.data.get("reach", "all") != "all":
            # The selected namespaces were deleted meanwhile; an empty selection must not mean all namespaces.
            self.add_error(None, access_tokens.no_access_to())
        if data.get("reach", "all") == "all":
            data["namespaces"] = data["images"] = None
            self.errors.pop("namespaces", None)
            self.errors.pop("names", None)
        elif not {"namespaces", "names"} & self.errors.keys():
            self._select(data)
        if data.get("expires") != _ON_A_DATE:
            self.errors.pop("date", None)
        data["expires_at"] = self._end(data)
        return data

    def _select(self, data: dict[str, Any]) -> None:
        """Look up the typed names, and add them to the ticked namespaces."""
        typed = set(data["names"].split())
        if len(typed) > MOST_NAMES:
            self.add_error("names", _("Use at most %d names.") % MOST_NAMES)
            return
        images = {name for name in typed if "/" in name}
        found = list(access_tokens.selectable_namespaces(self.account).filter(name__in=typed - images))
        found_images = list(access_tokens.selectable_images(self.account).filter(full_name__in=images))
        known = {namespace.name for namespace in found} | {image.full_name for image in found_images}
        for name in sorted(typed - known)[:1]:
            self.add_error("names", access_tokens.no_access_to(name))
            return
        data["namespaces"], data["images"] = {*data.get("namespaces", ()), *found}, found_images
        if not data["namespaces"] and not found_images:
            missing = ValidationError(_("Please choose at least one namespace or image."), code="required")
            self.add_error("namespaces" if "namespaces" in self.fields else "names", missing)

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
