"""Create, activate and deactivate accounts; change passwords."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from console.access.token_secrets import looks_like_secret
from console.accounts.models import ACCOUNT_ID_PATTERN, Account, RegistryCredential, new_account_id
from console.audit.services import record
from console.database.conflicts import lock_value

PASSWORD_LENGTHS = (8, 64)
# Zero width non-joiner and joiner: some scripts need them in names.
_JOINERS = "\u200c\u200d"


def create_account(
    name: str,
    email: str | None,
    password: str | None,
    *,
    is_staff: bool = False,
    is_superuser: bool = False,
    email_confirmed: bool = False,
) -> Account:
    """Create an account.

    :param password: the console password; checked with the password validators. ``None``: another sign-in method.
    :param email_confirmed: whether the identity provider has verified that the address is the person's.
    :raises ValidationError: one sentence per field: ``name``, ``email``, ``password``.
    """
    account = Account(name=name.strip(), email=email or None, is_staff=is_staff, is_superuser=is_superuser)
    account.confirmed_email = account.email if email_confirmed else None
    if password is not None:
        try:
            validate_password(password, account)
        except ValidationError as problem:
            raise ValidationError({"password": problem.messages}) from None
    account.set_password(password)
    while Account.objects.filter(account_id=account.account_id).exists():
        account.account_id = new_account_id()
    with transaction.atomic():
        if account.email:
            lock_value("e-mail", account.email.lower())
        account.full_clean()
        account.save()
        record(
            "account.create",
            account.account_id,
            name=account.name,
            email=account.email,
            is_staff=is_staff,
            is_superuser=is_superuser,
        )
    return account


def rename(account: Account, name: str) -> None:
    """Change the account's display name.

    :raises ValidationError: keyed ``name``.
    """
    name = name.strip()
    try:
        check_name(name)
    except ValidationError as problem:
        raise ValidationError({"name": problem.messages}) from None
    with transaction.atomic():
        locked = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        old, locked.name, account.name = locked.name, name, name
        if old != name:
            locked.save(update_fields=["name"])
            record("account.change", account.account_id, changes={"name": [old, name]})


def close_checklist(account: Account) -> None:
    """No longer show the checklist of first steps. No audit event: it is a note on a page."""
    Account.objects.filter(pk=account.pk, checklist_closed=False).update(checklist_closed=True)
    account.checklist_closed = True


def check_name(name: str) -> None:
    """Validate an account's display name.

    Invisible characters, or those that change the text direction, could make one account look like another (spoofing).
    The joiners of some scripts are allowed.

    :raises ValidationError: with one sentence for each broken rule.
    """
    Account._meta.get_field("name").clean(name, None)
    if any(not char.isprintable() and char not in _JOINERS for char in name):
        raise ValidationError(_("The name contains a character that can’t be displayed. Remove it."))


def is_sign_in_name(text: str) -> bool:
    """Whether ``text`` has the form of a sign-in name: an Account ID or an e-mail address."""
    if re.fullmatch(ACCOUNT_ID_PATTERN, text):
        return True
    try:
        return bool(Account._meta.get_field("email").clean(text, None))
    except ValidationError:
        return False


def set_active(account: Account, active: bool) -> None:
    """Deactivate or reactivate an account.

    Deactivation ends all sessions for good; the token endpoint checks ``is_active`` on each request; incrementing the
    credential's version invalidates all refresh tokens for good. Access tokens do not work while the account is
    inactive, and work again after reactivation.
    """
    with transaction.atomic():
        old, account.is_active = account.is_active, active
        if not active:
            account.sessions_ended += 1
        account.save(update_fields=["is_active", "sessions_ended"])
        if not active:
            for credential in RegistryCredential.objects.select_for_update().filter(account=account):
                credential.version += 1
                credential.save(update_fields=["version"])
        record(
            "account.activate" if active else "account.deactivate",
            account.account_id,
            changes={"is_active": [old, active]},
        )


def check_registry_password(password: str, account: Account, username: str) -> None:
    """Validate a registry password: 8 to 64 characters, and Django's validators.

    :raises ValidationError: with one sentence for each broken rule.
    """
    least, most = PASSWORD_LENGTHS
    if not password:
        raise ValidationError(_("Please enter a password"))
    if looks_like_secret(password):
        raise ValidationError(_("This is an access token. Choose a different password."))
    if "\x00" in password:
        raise ValidationError(_("The password contains a character that can’t be typed. Choose another password."))
    if not least <= len(password) <= most:
        raise ValidationError(
            _("The password must have %(least)d to %(most)d characters.") % {"least": least, "most": most}
        )
    if username and username.lower() in password.lower() and len(username) * 2 > len(password):
        raise ValidationError(_("The password is too similar to the user name."))
    validate_password(password, account)


def account_ids(usernames: Iterable[str]) -> dict[str, str]:
    """Map registry user names to Account IDs."""
    wanted = {username for username in usernames if username}
    found = RegistryCredential.objects.filter(username__in=wanted) if wanted else RegistryCredential.objects.none()
    return dict(found.values_list("username", "account__account_id"))


def names_of(usernames: Iterable[str], reader: Account) -> dict[str, str]:
    """The names of the people who have these user names at the registry.

    :param reader: of whom nothing has to be asked.
    """
    names = {reader.registry_credential.username: reader.name} if reader.registry_credential else {}
    if wanted := {username for username in usernames if username} - names.keys():
        found = RegistryCredential.objects.filter(username__in=wanted)
        names.update(found.values_list("username", "account__name"))
    return names


def check_username(account: Account, username: str) -> None:
    """Validate a user name for ``docker login``, and check that it is free.

    :raises ValidationError: with one sentence for each broken rule.
    """
    # Each Account ID is reserved as user name for its own account.
    if re.match(ACCOUNT_ID_PATTERN, username) and username != account.account_id:
        raise ValidationError(_("A user name of twelve digits can only be your own Account ID."))
    RegistryCredential._meta.get_field("username").clean(username, None)
    _require_free_username(account, username)


def _require_free_username(account: Account, username: str) -> None:
    if RegistryCredential.objects.filter(username=username).exclude(account=account).exists():
        sentence = _("The user name “%s” is already in use by another user. Try another one.")
        raise ValidationError(sentence % username, code="taken")


def store_credential(account: Account, username: str, password: str) -> RegistryCredential:
    """Create the account's credential (not activated yet), or overwrite one whose activation did not finish.

    Must be called in a transaction.

    :raises ValidationError: keyed ``username`` and ``password``; also when the service is already activated.
    """
    username = username.strip()
    problems: dict[str, ValidationError] = {}
    try:
        check_username(account, username)
    except ValidationError as problem:
        problems["username"] = problem
    try:
        check_registry_password(password, account, username)
    except ValidationError as problem:
        problems["password"] = problem
    if problems:
        raise ValidationError(problems)
    Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    credential = RegistryCredential.objects.filter(account=account).first() or RegistryCredential(account=account)
    if credential.activated_at:
        raise ValidationError(_("The service is already activated for this account."))
    lock_value("user name", username)
    try:
        _require_free_username(account, username)
    except ValidationError as problem:
        raise ValidationError({"username": problem}) from None
    credential.username = username
    credential.set_password(password)
    credential.save()
    credential.refresh_from_db()
    return credential


def mark_activated(account: Account) -> None:
    """Mark the account's service as activated."""
    with transaction.atomic():
        changed = RegistryCredential.objects.filter(account=account, activated_at=None).update(
            activated_at=timezone.now()
        )
        if changed:
            record("service.activate", account.account_id)


def change_registry_password(account: Account, password: str) -> RegistryCredential:
    """Change the registry password. The old one and all refresh tokens become invalid immediately.

    :raises ValidationError: keyed ``password``; or when the service is not activated.
    """
    with transaction.atomic():
        credential = RegistryCredential.objects.select_for_update().filter(account=account).first()
        if account.is_service:
            raise ValidationError(_("A service account has no password. Create an access token for it."))
        if credential is None or credential.activated_at is None:
            raise ValidationError(_("Activate the service first."))
        try:
            check_registry_password(password, account, credential.username)
        except ValidationError as problem:
            raise ValidationError({"password": problem.messages}) from None
        credential.set_password(password)
        credential.save()
        record("service.password", account.account_id)
    credential.refresh_from_db()
    return credential
