"""Form fields for the names of namespaces, images and tags, shared by several features."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from console.access.roles import least_role
from console.accounts.models import Account
from console.membership.models import Grant
from console.namespaces.models import Namespace
from console.repositories.models import Image
from console.repositories.services import check_tag_name


class NamespaceChoiceForm(forms.Form):
    """A namespace in which the account may create images."""

    namespace = forms.ModelChoiceField(
        Namespace.objects.none(),
        to_field_name="name",
        label=_("Namespace"),
        empty_label=None,
        error_messages={
            "required": _("Please choose a namespace."),
            "invalid_choice": _("Please choose a namespace that you may push to."),
        },
    )

    def __init__(self, account: Account, *arguments: Any, **options: Any) -> None:
        """Offer the namespaces in which the account may create images, except those being transferred."""
        super().__init__(*arguments, **options)
        open_to = Namespace.objects.allowing(account, "image.create").filter(new_owner=None).order_by("name")
        self.fields["namespace"].queryset = open_to  # type: ignore[attr-defined]


class TargetChoiceForm(NamespaceChoiceForm):
    """The namespace of an image to copy to, which exists or is created."""

    def __init__(self, account: Account, *arguments: Any, **options: Any) -> None:
        """Also offer the namespaces in which the account may push to single images only."""
        super().__init__(account, *arguments, **options)
        grants = Grant.objects.held_by(account.pk).at_least(least_role("image.push"))
        found = Namespace.objects.filter(Q(owner=account) | Q(pk__in=grants.values("namespace")), new_owner=None)
        self.fields["namespace"].queryset = found.order_by("name")  # type: ignore[attr-defined]


class ImageNameField(forms.CharField):
    """The name of an image within its namespace."""

    def __init__(self, **options: Any) -> None:
        """Set the label, length and error messages."""
        self.rule = Image._meta.get_field("name")
        too_long = _("The name must have 2 to 200 characters.")
        messages = {"required": _("Please enter a name"), "max_length": too_long}
        super().__init__(max_length=self.rule.max_length, error_messages=messages, **options)

    def run_validators(self, value: Any) -> None:
        """Validate the name.

        :raises ValidationError: with one sentence for each broken rule.
        """
        super().run_validators(value)
        if value not in self.empty_values:
            self.rule.run_validators(value)


class TagField(forms.CharField):
    """The name of a tag."""

    def run_validators(self, value: Any) -> None:
        """Validate the name.

        :raises ValidationError: when it is not a valid tag.
        """
        if value not in self.empty_values:
            check_tag_name(value)
