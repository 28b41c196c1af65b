"""Forms for invitations and for sign-up."""

from __future__ import annotations

import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from console.access.roles import Role
from console.accounts.forms import EmailAddressField
from console.accounts.models import Account
from console.accounts.services import check_name
from console.accounts.validators import LONGEST_PASSWORD, TOO_LONG
from console.membership.models import RoleName
from console.sharing.words import ROLE_HELP

ACCOUNT, EMAIL, LINK = "account", "email", "link"
_ON_A_DATE, _FOR_GOOD = "date", "good"
_OFF = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
_NO_ACCOUNT_ID = _("Enter an Account ID: twelve digits.")


def _roles() -> list[tuple[str, Any]]:
    return [(str(int(role)), format_html("{}: {}", RoleName(role).label, ROLE_HELP[role])) for role in Role]


class InvitationForm(forms.Form):
    """Who is invited, with which role and until when. A field that belongs to one choice counts only with it."""

    way = forms.ChoiceField(
        label=_("Invite by"),
        choices=[
            (ACCOUNT, _("Account ID")),
            (EMAIL, _("E-mail")),
            (LINK, _("Link, good for one person")),
        ],
        initial=ACCOUNT,
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Please choose how to invite."),
            "invalid_choice": _("Please choose how to invite."),
        },
    )
    account_id = forms.CharField(
        label=_("Account ID"),
        max_length=24,  # people paste spaces between the digits
        widget=forms.TextInput(attrs={**_OFF, "inputmode": "numeric"}),
        help_text=_("Twelve digits, shown in the person’s account menu."),
        error_messages={"required": _("Please enter an Account ID"), "max_length": _NO_ACCOUNT_ID},
    )
    email = EmailAddressField(label=_("E-mail"))
    role = forms.ChoiceField(
        label=_("Role"),
        choices=_roles,
        initial=str(int(Role.READER)),
        widget=forms.RadioSelect,
        error_messages={"required": _("Please choose a role."), "invalid_choice": _("Please choose a role.")},
    )
    lasts = forms.ChoiceField(
        label=_("The role lasts"),
        choices=[(_FOR_GOOD, _("For good")), (_ON_A_DATE, _("Until a date"))],
        initial=_FOR_GOOD,
        error_messages={
            "required": _("Please choose how long the role lasts."),
            "invalid_choice": _("Please choose how long the role lasts."),
        },
    )
    date = forms.DateField(
        label=_("Last day"),
        widget=forms.DateInput(attrs={"type": "date", "autocomplete": "off"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        help_text=_("The role ends at the end of this day (UTC)."),
        error_messages={"required": _("Please enter a date"), "invalid": _("Please enter a date like 2027-01-31")},
    )
    days = forms.TypedChoiceField(
        label=_("The invitation is good for"),
        choices=[("1", _("1 day")), ("7", _("7 days")), ("30", _("30 days"))],
        initial="7",
        coerce=int,
        error_messages={
            "required": _("Please choose how long the invitation is good."),
            "invalid_choice": _("Please choose how long the invitation is good."),
        },
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Fill in no address of the person who invites."""
        super().__init__(*arguments, **options)
        self.fields["email"].widget.attrs["autocomplete"] = "off"

    def clean(self) -> dict[str, Any]:
        """Convert the choices to the service's arguments: ``account``, ``email``, ``role``, ``grant_until``."""
        data = super().clean() or self.cleaned_data
        way = data.get("way")
        for name, of in (("account_id", ACCOUNT), ("email", EMAIL)):
            if way != of:
                self.errors.pop(name, None)
        data["account"] = self._account(data) if way == ACCOUNT else None
        data["email"] = data.get("email", "") if way == EMAIL else ""
        if way == EMAIL and not data["email"] and "email" not in self.errors:
            self.add_error("email", _("Please enter an e-mail address"))
        if data.get("lasts") != _ON_A_DATE:
            self.errors.pop("date", None)
        data["grant_until"] = self._end(data)
        if data.get("role"):
            data["role"] = Role(int(data["role"]))
        return data

    def _account(self, data: dict[str, Any]) -> Account | None:
        if "account_id" in self.errors:
            return None
        text = "".join(data.get("account_id", "").split())
        if not text:
            self.add_error("account_id", _("Please enter an Account ID"))
        elif not (len(text) == 12 and text.isascii() and text.isdecimal()):
            self.add_error("account_id", _NO_ACCOUNT_ID)
        else:
            account = Account.objects.filter(account_id=text, is_service=False).first()
            if account is None:
                self.add_error("account_id", _("No account has this Account ID."))
            return account
        return None

    def _end(self, data: dict[str, Any]) -> datetime.datetime | None:
        if data.get("lasts") != _ON_A_DATE or "date" in self.errors:
            return None
        if not data.get("date"):
            self.add_error("date", _("Please enter a date"))
            return None
        end = datetime.datetime.combine(data["date"], datetime.time(23, 59, 59), datetime.UTC)
        if end <= timezone.now():
            self.add_error("date", _("This date is in the past. Choose a later one."))
        return end


class SignUpForm(forms.Form):
    """The e-mail address of a new account, which gets a link."""

    email = EmailAddressField(label=_("E-mail"))


class NewAccountForm(forms.Form):
    """Name and console password of a new account."""

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
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=LONGEST_PASSWORD,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("For signing in here. The password for docker login is set when you activate the service."),
        error_messages={"required": _("Please enter a password"), "max_length": TOO_LONG},
    )
    confirm = forms.CharField(
        label=_("Confirm password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        error_messages={"required": _("Please enter the password again")},
    )

    def clean_name(self) -> str:
        """Validate the name.

        :raises ValidationError: when it has invisible characters.
        """
        name: str = self.cleaned_data["name"]
        check_name(name)
        return name

    def clean(self) -> dict[str, Any]:
        """Check that both passwords are the same."""
        data = super().clean() or self.cleaned_data
        if "password" in data and "confirm" in data and data["password"] != data["confirm"]:
            self.add_error("confirm", ValidationError(_("The two passwords do not match")))
        return data
