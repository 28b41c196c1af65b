"""Change an account's e-mail address: requested by its owner, confirmed by the link sent to the new address.

The link works only in a session of the account: a stranger who gets it because of a typing mistake cannot use it. It
becomes invalid with a later request, and with each change of the account's address, password or sessions.
"""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _

from console.accounts import jobs
from console.accounts.email_links import is_good, is_token_of, state_of
from console.accounts.models import Account, EmailChange
from console.audit.services import record
from console.database.conflicts import lock_value

_NONCE_LENGTH = 32


class Outdated(Exception):
    """The link is invalid or expired, or belongs to another account."""


def pending(account: Account) -> EmailChange | None:
    """The account's unconfirmed change of address, if any."""
    change = EmailChange.objects.filter(account=account).first()
    if change is None:
        return None
    change.account = account
    return change if is_good(change) else None


def check_address(account: Account, email: str) -> None:
    """Check that the account can have the address; addresses are compared case-insensitively.

    :raises ValidationError: with one sentence.
    """
    if email == account.email:
        raise ValidationError(_("This is already your e-mail address."))
    _require_free(account, email)


def _require_free(account: Account, email: str) -> None:
    if Account.objects.filter(email__iexact=email).exclude(pk=account.pk).exists():
        raise ValidationError(_("Another account already uses this e-mail address."), code="taken")


def request(account: Account, email: str) -> EmailChange:
    """Request another address: a job e-mails the link to it. Links of earlier requests become invalid.

    :raises ValidationError: when the account cannot have the address.
    """
    with transaction.atomic():
        locked = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        check_address(locked, email)
        return _begin(locked, email)


def _begin(locked: Account, email: str) -> EmailChange:
    values = {
        "email": email,
        "nonce": get_random_string(_NONCE_LENGTH),
        "state": state_of(locked),
        "created_at": timezone.now(),
    }
    change, _created = EmailChange.objects.update_or_create(account=locked, defaults=values)
    record("account.email_request", locked.account_id, email=email)
    jobs.send_email_link.defer(change=change.pk)
    return change


def unconfirmed(account: Account) -> str:
    """The address that a link would confirm: the requested one, or the account's own; empty if there is none."""
    change = pending(account)
    if change is not None:
        return change.email
    return "" if account.email_confirmed else account.email or ""


def send_again(account: Account, email: str) -> None:
    """E-mail another link to the unconfirmed address ``email``; the former link becomes invalid.

    :raises Outdated: when there is no longer such an address.
    :raises ValidationError: when another account has the address meanwhile.
    """
    with transaction.atomic():
        locked = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if unconfirmed(locked) != email:
            raise Outdated
        _require_free(locked, email)
        _begin(locked, email)


def read(account: Account, token: str) -> EmailChange:
    """The change that a link confirms.

    :raises Outdated: when the link is invalid or expired, or belongs to another account.
    """
    change = pending(account)
    if change is None or not is_token_of(change, token):
        raise Outdated
    return change


def confirm(account: Account, token: str) -> str:
    """Confirm a change: set the account's new address, and notify the former address by e-mail.

    Password-reset links sent before become invalid: they went to the former address.

    :return: the address.
    :raises Outdated: when the link is invalid or expired, or belongs to another account.
    :raises ValidationError: when another account has taken the address meanwhile.
    """
    with transaction.atomic():
        locked = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        change = read(locked, token)
        _set(locked, change.email)
    account.email = account.confirmed_email = change.email
    return change.email


def remove(account: Account) -> None:
    """Remove the account's e-mail address."""
    with transaction.atomic():
        locked = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if locked.email:
            _set(locked, None)
    account.email = account.confirmed_email = None


def _set(account: Account, email: str | None) -> None:
    """Set an address that is confirmed, or none."""
    former, account.email = account.email, email
    if email:
        lock_value("e-mail", email.lower())
        _require_free(account, email)
    account.confirmed_email = email
    account.save(update_fields=["email", "confirmed_email"])
    EmailChange.objects.filter(account=account).delete()
    changes = {"email": [former, email]} if former != email else {"email_confirmed": [False, True]}
    record("account.change", account.account_id, changes=changes)
    if former and former != email:
        jobs.send_email_changed.defer(account=account.pk, former=former)


def cancel(account: Account) -> bool:
    """Cancel the unconfirmed change; returns whether there was one."""
    with transaction.atomic():
        _rows, deleted = EmailChange.objects.filter(account=account).delete()
        if deleted:
            record("account.email_cancel", account.account_id)
    return bool(deleted)
