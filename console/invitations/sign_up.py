"""Sign-up: who may create an account, and creating it with a confirmed e-mail address."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from console.accounts.models import Account
from console.accounts.services import create_account
from console.invitations import services
from console.membership.models import Invitation


def is_open(invitation: Invitation | None) -> bool:
    """Whether somebody may create an account: anybody (``SIGN_UP=open``), or who has an invitation that is good.

    An invitation by Account ID is for an account that exists.
    """
    if not settings.LOCAL_ACCOUNTS or settings.SIGN_UP == "off":
        return False
    if invitation is None:
        return bool(settings.SIGN_UP == "open")
    return invitation.account_id is None and not services.refuse(invitation)


def address_is_taken(email: str) -> bool:
    """Whether an account has the e-mail address, which is compared case-insensitively."""
    return Account.objects.filter(email__iexact=email).exists()


def create(name: str, email: str, password: str, invitation: Invitation | None) -> Account:
    """Create an account whose e-mail address was confirmed by a link, and accept the invitation with it.

    So an invitation creates one account at most.

    :raises ValidationError: keyed ``name`` or ``password``; without a key when the address or the invitation is used
        meanwhile.
    """
    with transaction.atomic():
        if address_is_taken(email):
            raise ValidationError(_("An account already uses this e-mail address. Sign in with it."))
        account = create_account(name, email, password, email_confirmed=True)
        if invitation is not None:
            services.accept(account, invitation)
    return account
