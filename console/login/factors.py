"""Second factors: codes of an authenticator app, recovery codes, and passkeys.

The rows and the cryptography are django-allauth's (``allauth.mfa``). What is added here: wrong codes are counted by
``console.throttling``, no code of an app is good twice in any process, and what happens is recorded.
"""

from __future__ import annotations

import json
import logging
import struct
from typing import Any
from urllib.parse import urlsplit

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.utils import decrypt, encrypt
from allauth.mfa.webauthn.internal import auth as webauthn
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from fido2.cose import UnsupportedKey
from fido2.utils import websafe_encode
from fido2.webauthn import AuthenticationResponse, CollectedClientData, RegistrationResponse

from console.accounts.models import Account
from console.audit.middleware import client_address
from console.audit.origin import SYSTEM
from console.audit.services import record
from console.login.adapters import host
from console.throttling import guesses
from console.throttling.guesses import Attempt

log = logging.getLogger(__name__)

TOTP, RECOVERY_CODES, PASSKEY = Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES, Authenticator.Type.WEBAUTHN
DOOR = "second factor"
LONGEST_NAME = 60
# What a browser sends can be anything, and what the library raises then is not written down anywhere.
_MALFORMED = (
    ValidationError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError,
    NotImplementedError, RecursionError, UnsupportedAlgorithm, struct.error,
)  # fmt: skip
_LONGEST_ANSWER = 65_536


def is_enrolled(account: Account) -> bool:
    """Whether the account has a second factor. Recovery codes alone are none."""
    return bool(Authenticator.objects.filter(user=account, type__in=[TOTP, PASSKEY]).exists())


def has_passkey(account: Account) -> bool:
    """Whether a passkey can be asked for."""
    return bool(Authenticator.objects.filter(user=account, type=PASSKEY).exists())


def name_of(factor: Authenticator) -> str:
    """What a person calls it."""
    if factor.type == PASSKEY:
        return str(factor.wrap().name)
    return _("Authenticator app") if factor.type == TOTP else _("Recovery codes")


def check_code(request: HttpRequest, account: Account, code: str) -> Authenticator | None:
    """The app or the recovery codes that a code is of; it is used up. Wrong ones are counted.

    :raises console.throttling.guesses.HeldBack: after too many wrong ones.
    """
    attempt = Attempt(DOOR, f"account:{account.pk}", client_address(request), account.account_id)
    with transaction.atomic():
        # One at a time for an account: neither is a code good twice, nor are more tried at once than may be.
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        marks = guesses.read_marks(attempt)
        guesses.raise_if_limited(marks, door=DOOR)
        for factor in Authenticator.objects.filter(user=account, type__in=[TOTP, RECOVERY_CODES]).order_by("pk"):
            if _is_of(factor, code):
                factor.refresh_from_db()
                factor.record_usage()
                guesses.record_success(attempt, marks)
                return factor
        guesses.record_failure(attempt, marks)
        record("second_factor.wrong", account.account_id, actor=SYSTEM)
    return None


def _is_of(factor: Authenticator, code: str) -> bool:
    try:
        if factor.type == RECOVERY_CODES:
            return bool(factor.wrap().validate_code(code))
        counter = _counter(decrypt(factor.data["secret"]), code)
    except InvalidToken:
        log.error("the second factor %s cannot be read: it was stored under another SECRET_KEY", factor.pk)
        return False
    # Neither the same code again nor one of before it (RFC 6238, 5.2).
    if counter is None or counter <= factor.data.get("used", 0):
        return False
    factor.data["used"] = counter
    factor.save(update_fields=["data"])
    return True


def _counter(secret: str, code: str) -> int | None:
    """Which of the codes of about now it is."""
    for counter in totp.yield_hotp_counters_from_time():
        if totp.compare_user_code(actual=code, expected=totp.format_hotp_value(totp.hotp_value(secret, counter))):
            return int(counter)
    return None


# --- setting up -----------------------------------------------------------------------------------------------------


def new_secret() -> str:
    """A secret for an authenticator app, encrypted, for the session to keep until a code of it was typed."""
    return str(encrypt(totp.generate_totp_secret()))


def shown_secret(kept: str) -> str:
    """The secret itself, to be typed into the app."""
    return str(decrypt(kept))


def add_app(account: Account, kept: str, code: str) -> None:
    """Set up the authenticator app that has the secret, as a code of it shows.

    :raises ValidationError: when the code is wrong, or there is an app already.
    """
    counter = _counter(shown_secret(kept), code)
    if counter is None:
        raise ValidationError(_("This is not the app’s current code. Check that your device’s clock is right."))
    with transaction.atomic():
        # One at a time for one account, or a second app at once would be refused by the database.
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if Authenticator.objects.filter(user=account, type=TOTP).exists():
            raise ValidationError(_("You already have an authenticator app. Remove it first."))
        factor = totp.TOTP.activate(account, shown_secret(kept)).instance
        factor.data["used"] = counter
        factor.save(update_fields=["data"])
        _added(account, factor)


def _added(account: Account, factor: Authenticator) -> None:
    record("second_factor.add", account.account_id, kind=factor.type, name=name_of(factor))
    if not Authenticator.objects.filter(user=account, type=RECOVERY_CODES).exists():
        new_recovery_codes(account)


def new_recovery_codes(account: Account) -> None:
    """Give the account ten new recovery codes; former ones are good no more.

    :raises ValidationError: when there is nothing that they could stand in for.
    """
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if not is_enrolled(account):
            raise ValidationError(_("Set up an authenticator app or a passkey first."))
        Authenticator.objects.filter(user=account, type=RECOVERY_CODES).delete()
        RecoveryCodes.activate(account)
        record("second_factor.codes", account.account_id)


def recovery_codes(account: Account) -> list[str]:
    """Those that are left."""
    kept = Authenticator.objects.filter(user=account, type=RECOVERY_CODES).first()
    try:
        return list(kept.wrap().get_unused_codes()) if kept else []
    except InvalidToken:
        return []


def remove(factor: Authenticator, **detail: Any) -> None:
    """Take a factor off its account; with the last one the recovery codes go, which stand in for nothing then."""
    account = Account.objects.get(pk=factor.user_id)
    with transaction.atomic():
        record("second_factor.remove", account.account_id, kind=factor.type, name=name_of(factor), **detail)
        factor.delete()
        if not is_enrolled(account):
            Authenticator.objects.filter(user=account).delete()


def remove_all(account: Account, **detail: Any) -> int:
    """Take all factors off an account, for somebody who has lost them; how many there were."""
    found = list(Authenticator.objects.filter(user=account).exclude(type=RECOVERY_CODES))
    with transaction.atomic():
        for factor in found:
            remove(factor, **detail)
    return len(found)


# --- passkeys -------------------------------------------------------------------------------------------------------


def _read(answer: str) -> Any:
    """A browser's answer about a passkey.

    :raises ValueError: when it is none, or longer than any.
    """
    if len(answer) > _LONGEST_ANSWER:
        raise ValueError
    return json.loads(answer)


def _check_origin(request: HttpRequest, said: CollectedClientData) -> None:
    """Refuse what was asked for by another host's page, or inside of one (Web Authentication, 13.4.9).

    The library takes each host below ours for ours, and whoever has one of those could pass our questions on.

    :raises ValueError: when it was.
    """
    if urlsplit(said.origin).hostname != host(request).lower() or said.cross_origin:
        raise ValueError


def passkey_options(account: Account | None) -> str:
    """What a browser is to ask for: one of the account's passkeys, or whichever somebody has here; JSON."""
    return json.dumps(webauthn.begin_authentication(account))


def new_passkey_options(account: Account) -> str:
    """What a browser is to make a passkey with, one that signs in by itself; JSON."""
    return json.dumps(webauthn.begin_registration(account, True))


def check_passkey(request: HttpRequest, account: Account | None, answer: str) -> Authenticator | None:
    """The passkey that has answered what was asked for, with its owner present and verified; each question once.

    :param account: whose it has to be; ``None``: whoever the answer says, who has to be active.
    """
    try:
        credential = _read(answer)
        response = AuthenticationResponse.from_dict(credential)
        _check_origin(request, response.response.client_data)
        asked = account or webauthn.extract_user_from_response(credential)
        factor = webauthn.complete_authentication(asked, credential)
        if not asked.is_active or not response.response.authenticator_data.is_user_verified():
            return None
    except _MALFORMED:
        return None
    finally:
        request.session.pop(webauthn.STATE_SESSION_KEY, None)
    factor.user = asked
    factor.record_usage()
    return factor


def add_passkey(request: HttpRequest, account: Account, name: str, answer: str) -> None:
    """Keep a passkey that the browser has made.

    :raises ValidationError: when it is not what was asked for, or there are too many.
    """
    try:
        credential = _read(answer)
        response = RegistrationResponse.from_dict(credential)
        _check_origin(request, response.response.client_data)
        made = webauthn.complete_registration(credential)
        if not made.is_user_verified() or made.credential_data is None:
            raise ValueError
        # Nothing that it signs could be checked.
        if isinstance(made.credential_data.public_key, UnsupportedKey):
            raise ValueError
    except _MALFORMED:
        raise ValidationError(_("Could not add the passkey. Try again.")) from None
    finally:
        request.session.pop(webauthn.STATE_SESSION_KEY, None)
    # Nothing of what was sent is kept but what was checked.
    key = websafe_encode(made.credential_data.credential_id)
    kept = {
        "id": key,
        "rawId": key,
        "type": "public-key",
        "response": {
            "clientDataJSON": websafe_encode(response.response.client_data),
            "attestationObject": websafe_encode(response.response.attestation_object),
        },
        "clientExtensionResults": {},
    }
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if Authenticator.objects.filter(user=account, type=PASSKEY).count() >= settings.MOST_PASSKEYS:
            raise ValidationError(_("You have reached the limit of passkeys. Remove one first."))
        _added(account, webauthn.WebAuthn.add(account, name, kept).instance)


def rename_passkey(factor: Authenticator, name: str) -> None:
    """Call a passkey something else."""
    account = Account.objects.get(pk=factor.user_id)
    with transaction.atomic():
        record("second_factor.rename", account.account_id, kind=factor.type, old=name_of(factor), new=name)
        factor.data["name"] = name
        factor.save(update_fields=["data"])
