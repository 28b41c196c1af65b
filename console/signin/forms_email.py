"""What people type about their e-mail address."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from console.accounts import email_changes
from console.accounts.forms import EmailAddressField
from console.accounts.models import Account


class EmailForm(forms.Form):
    """Another e-mail address, or none."""

    email = EmailAddressField(
        label=_("E-mail"),
        required=False,
        help_text=_("A link is sent to this address: open it to confirm the change. Leave it empty to have none."),
    )

    def __init__(self, account: Account, *arguments: object, **options: object) -> None:
        """Take whose address it becomes."""
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.account = account
        self.fields["email"].widget.attrs["autofocus"] = True

    def clean_email(self) -> str:
        """See that the account can have the address.

        :raises ValidationError: when it has it already, or another account does.
        """
        email: str = self.cleaned_data["email"]
        if email:
            email_changes.check_address(self.account, email)
        return email
