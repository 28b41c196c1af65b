"""Forms for imports and for copies of official images."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from console.accounts.models import Account
from console.imports import references
from console.imports.credentials import LONGEST_CREDENTIAL
from console.repositories.forms import ImageNameField, TagField, TargetChoiceForm

_PLATFORM = re.compile(r"[a-z0-9]{1,30}/[a-z0-9_]{1,30}(?:/[a-z0-9._]{1,30})?")
_MOST_PLATFORMS = 50
_AS_IT_IS = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}


def _image_name(help_text: Any, *, required: bool = True) -> ImageNameField:
    return ImageNameField(
        label=_("Image"), help_text=help_text, required=required, widget=forms.TextInput(attrs=_AS_IT_IS)
    )


def _tag(help_text: Any, *, required: bool = True) -> TagField:
    return TagField(
        label=_("Tag"),
        help_text=help_text,
        required=required,
        widget=forms.TextInput(attrs=_AS_IT_IS),
        error_messages={"required": _("Please enter a tag")},
    )


class PlatformsField(forms.CharField):
    """Platforms, separated by commas or spaces; nothing for all."""

    def to_python(self, value: Any) -> Any:
        """A list of platforms without duplicates.

        :raises ValidationError: when one of them is malformed.
        """
        found = list(dict.fromkeys(str(super().to_python(value) or "").lower().replace(",", " ").split()))
        if len(found) > _MOST_PLATFORMS or not all(_PLATFORM.fullmatch(one) for one in found):
            raise ValidationError(_("Enter platforms like linux/amd64, linux/arm64/v8."))
        return found


def _platforms() -> PlatformsField:
    return PlatformsField(
        label=_("Platforms"),
        required=False,
        widget=forms.TextInput(attrs=_AS_IT_IS),
        help_text=_("Such as linux/amd64, linux/arm64. Leave empty to copy all and keep the digest."),
    )


class OfficialCopyForm(TargetChoiceForm):
    """Target and platforms of a copy of an official image."""

    name = _image_name(_("If the image does not exist, a private one is created."))
    tag = _tag(_("An existing tag is replaced."))
    platforms: forms.Field = _platforms()

    def __init__(self, account: Account, known: list[str], *arguments: Any, **options: Any) -> None:
        """Offer the ``known`` platforms; if there are none, a text field."""
        super().__init__(account, *arguments, **options)
        if known:
            self.fields["platforms"] = forms.MultipleChoiceField(
                label=_("Platforms"),
                required=False,
                choices=[(one, one) for one in known],
                widget=forms.CheckboxSelectMultiple,
                help_text=_("Select none to copy all and keep the digest."),
                error_messages={"invalid_choice": _("The tag does not have the platform %(value)s.")},
            )


class ImportForm(TargetChoiceForm):
    """Source and target of an import."""

    reference = forms.CharField(
        label=_("Image to import"),
        max_length=references.LONGEST,
        widget=forms.TextInput(attrs={**_AS_IT_IS, "autofocus": True}),
        help_text=_("The same as for docker pull: registry.example.com/team/app:1, or with @sha256:…"),
        error_messages={
            "required": _("Please enter an image name"),
            "max_length": _("This image name is too long."),
        },
    )
    username = forms.CharField(
        label=_("Source user name"),
        required=False,
        max_length=LONGEST_CREDENTIAL,
        widget=forms.TextInput(attrs=_AS_IT_IS),
        error_messages={"max_length": _("The user name can have up to 4,096 characters.")},
    )
    password = forms.CharField(
        label=_("Source password"),
        required=False,
        strip=False,
        max_length=LONGEST_CREDENTIAL,
        # Browsers ignore "off" for passwords: a password manager would fill in the console password, which would be
        # sent to the other registry. "new-password" prevents that.
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_(
            "Only if that registry requires a login. Used for this import only, and stored encrypted until it ends, "
            "for at most an hour."
        ),
        error_messages={"max_length": _("The password can have up to 4,096 characters.")},
    )
    name = _image_name(
        _("Leave empty to use the last part of its name. If the image does not exist, a private one is created."),
        required=False,
    )
    tag = _tag(_("Leave empty to use the same tag. An existing tag is replaced."), required=False)
    platforms = _platforms()
    field_order = ["reference", "username", "password", "namespace", "name", "tag", "platforms"]

    def clean_reference(self) -> references.Reference:
        """Parse the image reference."""
        try:
            return references.parse(self.cleaned_data["reference"])
        except ValueError:
            raise ValidationError(
                _("This is not an image name. Enter it like registry.example.com/team/app:1.")
            ) from None

    def clean(self) -> dict[str, Any]:
        """Fill in empty fields; a password requires a user name."""
        data = super().clean() or self.cleaned_data
        source = data.get("reference")
        if source is not None:
            if not data.get("name") and "name" not in self.errors:
                self._take_name(source.repository.rpartition("/")[2])
            if "tag" not in self.errors:
                data["tag"] = data.get("tag") or source.tag
                if not data["tag"]:
                    self.add_error("tag", _("Please enter a tag: a digest does not name one"))
        if data.get("password") and not data.get("username"):
            self.add_error("username", _("Please enter the user name too"))
        data["login"] = (data["username"], data.get("password", "")) if data.get("username") else None
        return data

    def _take_name(self, name: str) -> None:
        """Use the image's name at the source for the copy, if it is valid here."""
        try:
            self.cleaned_data["name"] = self.fields["name"].clean(name)
        except ValidationError as problem:
            self.add_error("name", problem)
