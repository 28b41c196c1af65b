"""Forms for images, tags and copies."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from console.accounts.models import Account
from console.repositories.forms import ImageNameField, NamespaceChoiceForm, TagField, TargetChoiceForm
from console.repositories.models import Image
from console.repositories.models.image import LONGEST_DESCRIPTION
from console.repositories.rights import refuse_visibility
from console.repositories.services import refuse_existing


class LinesField(forms.CharField):
    """Multi-line text. Browsers send a line end as CR LF; it is stored and counted as one character."""

    def to_python(self, value: Any) -> str:
        """The text with normalised line ends."""
        return str(super().to_python(value)).replace("\r\n", "\n")


class DescriptionForm(forms.Form):
    """Edit the description."""

    description = LinesField(
        label=_("Description"),
        required=False,
        max_length=LONGEST_DESCRIPTION,
        widget=forms.Textarea(attrs={"rows": 5, "autocomplete": "off"}),
        help_text=_("Markdown, up to 25,000 characters. Lists show its first line."),
        error_messages={"max_length": _("The description can have up to 25,000 characters.")},
    )


class VisibilityForm(forms.Form):
    """Change the visibility: public or private."""

    visibility = forms.ChoiceField(
        label=_("Type"),
        choices=Image.Visibility.choices,
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Please choose Public or Private."),
            "invalid_choice": _("Please choose Public or Private."),
        },
    )


class CopyForm(TargetChoiceForm):
    """Target of a copy of a tag."""

    name = ImageNameField(
        label=_("Image"),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
        help_text=_("If the image does not exist, a private one is created."),
    )
    tag = TagField(
        label=_("Tag"),
        widget=forms.TextInput(
            attrs={
                "autocomplete": "off",
                "autocapitalize": "none",
                "spellcheck": "false",
                "autofocus": True,
                "list": "known-tags",
            }
        ),
        help_text=_("An existing tag is replaced."),
        error_messages={"required": _("Please enter a tag")},
    )
    attached = forms.BooleanField(
        label=_("Include attached signatures, SBOMs and attestations"), required=False, initial=True
    )


class ImageForm(NamespaceChoiceForm, DescriptionForm):
    """Create an image."""

    name = ImageNameField(
        label=_("Name"),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "autofocus": True}
        ),
        help_text=_("2 to 200 lowercase letters, digits and separators; “/” between components."),
    )
    visibility = forms.ChoiceField(
        label=_("Type"),
        choices=Image.Visibility.choices,
        initial=Image.Visibility.PRIVATE,
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Please choose Public or Private."),
            "invalid_choice": _("Please choose Public or Private."),
        },
    )
    field_order = ["name", "visibility", "namespace", "description"]

    def __init__(self, account: Account, *arguments: Any, **options: Any) -> None:
        """Remember the account, whose role decides about public images."""
        super().__init__(account, *arguments, **options)
        self.account = account

    def clean(self) -> dict[str, Any]:
        """Check that the name is free and the type allowed, so that all errors are reported at once."""
        data = super().clean() or self.cleaned_data
        if "name" in data and "namespace" in data:
            refusal = refuse_existing(data["namespace"], data["name"])
            if refusal:
                self.add_error("name", refusal)
        if "visibility" in data and "namespace" in data:
            refusal = refuse_visibility(self.account, data["namespace"], data["visibility"])
            if refusal:
                self.add_error("visibility", refusal)
        return data
