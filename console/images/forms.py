"""What people type about images."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from console.accounts.models import Account
from console.images.models import Image
from console.namespaces.models import Namespace
from console.policy import visible_namespaces


class DescriptionForm(forms.Form):
    """The description alone."""

    description = forms.CharField(
        label=_("Description"),
        required=False,
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=_("Markdown, up to 1,000 characters."),
        error_messages={"max_length": _("The description may have 1,000 characters.")},
    )

    def clean_description(self) -> str:
        """Browsers send line ends as two characters; one is kept."""
        return str(self.cleaned_data["description"]).replace("\r\n", "\n").replace("\x00", "")


class NamespaceChoiceForm(forms.Form):
    """One of the account's own namespaces."""

    namespace = forms.ModelChoiceField(
        Namespace.objects.none(),
        to_field_name="name",
        label=_("Namespace"),
        empty_label=None,
        error_messages={
            "required": _("Please choose a namespace"),
            "invalid_choice": _("Please choose one of your own namespaces"),
        },
    )

    def __init__(self, account: Account, *arguments: Any, **options: Any) -> None:
        """Offer the account's own namespaces, less those that change hands."""
        super().__init__(*arguments, **options)
        own = visible_namespaces(account).filter(new_owner=None).order_by("name")
        self.fields["namespace"].queryset = own  # type: ignore[attr-defined]


class VisibilityForm(forms.Form):
    """Public or private."""

    visibility = forms.ChoiceField(
        label=_("Type"),
        choices=Image.Visibility.choices,
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Please choose Public or Private"),
            "invalid_choice": _("Please choose Public or Private"),
        },
    )


class CopyForm(NamespaceChoiceForm):
    """Where a tag is copied to."""

    name = forms.CharField(
        label=_("Image"),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
        help_text=_("An image that is not there is created, private."),
        error_messages={"required": _("Please enter a name")},
    )
    tag = forms.CharField(
        label=_("Tag"),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "autofocus": True}
        ),
        help_text=_("A tag that is there is replaced."),
        error_messages={"required": _("Please enter a tag")},
    )
    attached = forms.BooleanField(
        label=_("With what is attached to it: signatures, SBOMs, attestations"), required=False, initial=True
    )


class ImageForm(NamespaceChoiceForm, DescriptionForm):
    """A new image. The rules of its name are the service's to judge."""

    name = forms.CharField(
        label=_("Name"),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "autofocus": True}
        ),
        help_text=_("2 to 200 lowercase letters, digits and separators; “/” between components."),
        error_messages={"required": _("Please enter a name")},
    )
    visibility = forms.ChoiceField(
        label=_("Type"),
        choices=Image.Visibility.choices,
        initial=Image.Visibility.PRIVATE,
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Please choose Public or Private"),
            "invalid_choice": _("Please choose Public or Private"),
        },
    )
    field_order = ["name", "visibility", "namespace", "description"]
