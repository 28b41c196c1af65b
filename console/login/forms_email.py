"""Form for changing the e-mail address."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from console.accounts.forms import EmailAddressField


class EmailForm(forms.Form):
    """A new e-mail address, or none. Whether it is taken is checked later, behind a rate limit (user enumeration)."""

    email = EmailAddressField(
        label=_("E-mail"),
        required=False,
        help_text=_("Open the link sent to this address to confirm the change. Leave it empty to have none."),
    )

    def __init__(self, *arguments: object, **options: object) -> None:
        """Put the focus on the field."""
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.fields["email"].widget.attrs["autofocus"] = True
