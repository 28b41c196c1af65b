"""Forms to give and to change a role."""

from __future__ import annotations

import datetime
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from console.access.roles import Role
from console.membership.models import Grant, RoleName, Team
from console.sharing.words import ROLE_HELP

_FOR_GOOD, _ON_A_DATE = "good", "date"


def role_choices(highest: Role = Role.OWNER) -> list[tuple[int, Any]]:
    """The roles up to one, each with what it may do."""
    return [
        (int(role), _("%(role)s: %(help)s") % {"role": RoleName(role).label, "help": ROLE_HELP[role]})
        for role in Role
        if role <= highest
    ]


class RoleForm(forms.Form):
    """A role, and when it ends. ``until`` is in ``cleaned_data``; the date is ignored for a role for good."""

    role = forms.TypedChoiceField(
        label=_("Role"),
        coerce=lambda value: Role(int(value)),
        choices=role_choices,
        initial=int(Role.READER),
        widget=forms.RadioSelect,
        error_messages={"required": _("Please choose a role."), "invalid_choice": _("Please choose a role.")},
    )
    ends = forms.ChoiceField(
        label=_("Until"),
        choices=[(_FOR_GOOD, _("For good")), (_ON_A_DATE, _("On a date"))],
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
        help_text=_("The role ends with this day (UTC)."),
        error_messages={
            "required": _("Please enter a date"),
            "invalid": _("Please enter a date like 2027-01-31"),
        },
    )

    def clean(self) -> dict[str, Any]:
        """Convert the choice to ``until``: the end of the day, or ``None`` for good."""
        data = super().clean() or self.cleaned_data
        data["until"] = None
        if data.get("ends") != _ON_A_DATE:
            self.errors.pop("date", None)
        elif "date" in data:
            data["until"] = datetime.datetime.combine(data["date"], datetime.time(23, 59, 59), datetime.UTC)
            if data["until"] <= timezone.now():
                self.add_error("date", _("This date is in the past. Choose a later one."))
        return data


def initial_of(grant: Grant) -> dict[str, Any]:
    """What the form of a grant begins with."""
    day = grant.until.astimezone(datetime.UTC).date() if grant.until else None
    return {"role": grant.role, "ends": _ON_A_DATE if day else _FOR_GOOD, "date": day}


class OwnerRoleForm(forms.Form):
    """The role that the namespace's own account keeps when another owner takes over."""

    role = forms.TypedChoiceField(
        label=_("Role"),
        coerce=lambda value: Role(int(value)),
        choices=lambda: role_choices(Role.MAINTAINER),
        widget=forms.RadioSelect,
        error_messages={"required": _("Please choose a role."), "invalid_choice": _("Please choose a role.")},
    )


class TeamRoleForm(RoleForm):
    """A team by its exact name, and the role that it gets."""

    team = forms.CharField(
        label=_("Team"),
        max_length=30,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "autofocus": True}
        ),
        help_text=_("The exact name of the team. All its members get the role."),
        error_messages={
            "required": _("Please enter the name of a team"),
            "max_length": _("The name of a team has 2 to 30 characters."),
        },
    )
    field_order = ("team", "role", "ends", "date")

    def clean_team(self) -> Team:
        """Find the team.

        :raises ValidationError: when there is none with this name.
        """
        team = Team.objects.filter(name=self.cleaned_data["team"]).first()
        if team is None:
            raise forms.ValidationError(_("No team has this name."))
        return team
