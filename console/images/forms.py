"""What people type about images."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from console.accounts.models import Account
from console.images.models import Image
from console.images.services import check_tag_name, refuse_existing
from console.namespaces.models import Namespace


class LinesField(forms.CharField):
    """Text of several lines. A line end, which browsers send as two characters, is one and counts as one."""

    def to_python(self, value: Any) -> str:
        """The text with its line ends as they are stored."""
        return str(super().to_python(value)).replace("\r\n", "\n")


class DescriptionForm(forms.Form):
    """The description alone."""

    description = LinesField(
        label=_("Description"),
        required=False,
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 5, "autocomplete": "off"}),
        help_text=_("Markdown, up to 1,000 characters."),
        error_messages={"max_length": _("The description may have 1,000 characters.")},
    )


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
        own = Namespace.objects.visible_to(account).filter(new_owner=None).order_by("name")
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


class ImageNameField(forms.CharField):
    """The name of an image within its namespace, held against the rules of names."""

    def __init__(self, **options: Any) -> None:
        """Take the options of a field."""
        self.rule = Image._meta.get_field("name")
        too_long = _("The name must have 2 to 200 characters.")
        messages = {"required": _("Please enter a name"), "max_length": too_long}
        super().__init__(max_length=self.rule.max_length, error_messages=messages, **options)

    def run_validators(self, value: Any) -> None:
        """Check the name.

        :raises ValidationError: with one sentence for each rule that it breaks.
        """
        super().run_validators(value)
        if value not in self.empty_values:
            self.rule.run_validators(value)


class TagField(forms.CharField):
    """The name of a tag."""

    def run_validators(self, value: Any) -> None:
        """Check the name.

        :raises ValidationError: when it is no tag's name.
        """
        if value not in self.empty_values:
            check_tag_name(value)


class CopyForm(NamespaceChoiceForm):
    """Where a tag is copied to."""

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
        help_text=_("A tag that is there is replaced."),
        error_messages={"required": _("Please enter a tag")},
    )
    attached = forms.BooleanField(
        label=_("With what is attached to it: signatures, SBOMs, attestations"), required=False, initial=True
    )


class ImageForm(NamespaceChoiceForm, DescriptionForm):
    """A new image."""

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
            "required": _("Please choose Public or Private"),
            "invalid_choice": _("Please choose Public or Private"),
        },
    )
    field_order = ["name", "visibility", "namespace", "description"]

    def clean(self) -> dict[str, Any]:
        """See whether the name is free, so that this is said together with what else is wrong."""
        data = super().clean() or self.cleaned_data
        if "name" in data and "namespace" in data:
            refusal = refuse_existing(data["namespace"], data["name"])
            if refusal:
                self.add_error("name", refusal)
        return data
