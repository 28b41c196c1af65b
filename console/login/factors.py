"""Second factors: codes of an authenticator app (TOTP), recovery codes, and passkeys (WebAuthn).

Models and cryptography are django-allauth's (``allauth.mfa``). Added here: rate limits for wrong codes
(``console.throttling``), replay protection for TOTP codes over all processes, and audit events.
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
BUCKET = "second factor"
LONGEST_NAME = 60
# Errors of the library for malformed input from a browser; it does not document them.
_MALFORMED = (
    ValidationError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError,
    NotImplementedError, RecursionError, UnsupportedAlgorithm, struct.error,
)  # fmt: skip
_LONGEST_ANSWER = 65_536


def is_enrolled(account: Account) -> bool:
    """Whether the account has a second factor. Recovery codes alone do not count."""
    return bool(Authenticator.objects.filter(user=account, type__in=[TOTP, PASSKEY]).exists())


def has_passkey(account: Account) -> bool:
    """Whether the account has a passkey."""
    return bool(Authenticator.objects.filter(user=account, type=PASSKEY).exists())


def name_of(factor: Authenticator) -> str:
    """The factor's name on pages."""
    if factor.type == PASSKEY:
        return str(factor.wrap().name)
    return _("Authenticator app") if factor.type == TOTP else _("Recovery codes")


def check_code(request: HttpRequest, account: Account, code: str) -> Authenticator | None:
    """Verify and consume a TOTP or recovery code; returns its factor, or ``None`` for a wrong code, which is counted.

    :raises console.throttling.guesses.RateLimited: when rate limited after too many wrong codes.
    """
    attempt = Attempt(BUCKET, f"account:{account.pk}", client_address(request), account.account_id)
    with transaction.atomic():
        # Lock the account: no code is accepted twice, and concurrent requests cannot exceed the rate limit (race).
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        marks = guesses.read_marks(attempt)
        guesses.raise_if_limited(marks, bucket=BUCKET)
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
        log.error("the second factor %s cannot be decrypted: it was stored with another SECRET_KEY", factor.pk)
        return False
    # Replay protection: neither the same code again nor an earlier one (RFC 6238, 5.2).
    if counter is None or counter <= factor.data.get("used", 0):
        return False
    factor.data["used"] = counter
    factor.save(update_fields=["data"])
    return True


def _counter(secret: str, code: str) -> int | None:
    """The TOTP counter of a code, within the allowed clock drift; ``None`` for a wrong code."""
    for counter in totp.yield_hotp_counters_from_time():
        if totp.compare_user_code(actual=code, expected=totp.format_hotp_value(totp.hotp_value(secret, counter))):
            return int(counter)
    return None


# --- setting up -----------------------------------------------------------------------------------------------------


def new_secret() -> str:
    """A new TOTP secret, encrypted, to store in the session until it is confirmed with a code."""
    return str(encrypt(totp.generate_totp_secret()))


def shown_secret(encrypted: str) -> str:
    """The decrypted secret, to be typed into the app."""
    return str(decrypt(encrypted))


def add_app(account: Account, encrypted: str, code: str) -> None:
    """Set up an authenticator app with its secret, confirmed by a code.

    :raises ValidationError: when the code is wrong, or the account has an app already.
    """
    counter = _counter(shown_secret(encrypted), code)
    if counter is None:
        raise ValidationError(_("This is not the app’s current code. Check that your device’s clock is right."))
    with transaction.atomic():
        # Lock the account: in a race the second app would violate a constraint.
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if Authenticator.objects.filter(user=account, type=TOTP).exists():
            raise ValidationError(_("You already have an authenticator app. Remove it first."))
        factor = totp.TOTP.activate(account, shown_secret(encrypted)).instance
        factor.data["used"] = counter
        factor.save(update_fields=["data"])
        _added(account, factor)


def _added(account: Account, factor: Authenticator) -> None:
    record("second_factor.add", account.account_id, kind=factor.type, name=name_of(factor))
    if not Authenticator.objects.filter(user=account, type=RECOVERY_CODES).exists():
        new_recovery_codes(account)


def new_recovery_codes(account: Account) -> None:
    """Create ten new recovery codes; former ones become invalid.

    :raises ValidationError: when the account has no other factor.
    """
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if not is_enrolled(account):
            raise ValidationError(_("Set up an authenticator app or a passkey first."))
        Authenticator.objects.filter(user=account, type=RECOVERY_CODES).delete()
        RecoveryCodes.activate(account)
        record("second_factor.codes", account.account_id)


def recovery_codes(account: Account) -> list[str]:
    """The unused recovery codes."""
    factor = Authenticator.objects.filter(user=account, type=RECOVERY_CODES).first()
    try:
        return list(factor.wrap().get_unused_codes()) if factor else []
    except InvalidToken:
        return []


def remove(factor: Authenticator, **detail: Any) -> None:
    """Delete a factor; with the last one also the recovery codes."""
    account = Account.objects.get(pk=factor.user_id)
    with transaction.atomic():
        record("second_factor.remove", account.account_id, kind=factor.type, name=name_of(factor), **detail)
        factor.delete()
        if not is_enrolled(account):
            Authenticator.objects.filter(user=account).delete()


def remove_all(account: Account, **detail: Any) -> int:
    """Delete all factors of an account, whose user has lost them; returns how many there were."""
    found = list(Authenticator.objects.filter(user=account).exclude(type=RECOVERY_CODES))
    with transaction.atomic():
        for factor in found:
            remove(factor, **detail)
    return len(found)


# --- passkeys -------------------------------------------------------------------------------------------------------


def _read(answer: str) -> Any:
    """Parse a browser's WebAuthn response.

    :raises ValueError: when it is malformed or too long.
    """
    if len(answer) > _LONGEST_ANSWER:
        raise ValueError
    return json.loads(answer)


def _check_origin(request: HttpRequest, client_data: CollectedClientData) -> None:
    """Check that the page was on our host, and not embedded in another one (Web Authentication, 13.4.9).

    The library accepts subdomains of our host, whose owners could relay our challenges (phishing).

    :raises ValueError: for another origin.
    """
    if urlsplit(client_data.origin).hostname != host(request).lower() or client_data.cross_origin:
        raise ValueError


def passkey_options(account: Account | None) -> str:
    """WebAuthn request options (JSON): for one of the account's passkeys, or for any passkey on this host."""
    return json.dumps(webauthn.begin_authentication(account))


def new_passkey_options(account: Account) -> str:
    """WebAuthn creation options (JSON), for a discoverable passkey, which signs in without an account name."""
    return json.dumps(webauthn.begin_registration(account, True))


def check_passkey(request: HttpRequest, account: Account | None, answer: str) -> Authenticator | None:
    """Verify a browser's response with user presence and verification; each challenge is accepted once.

    :param account: the owner of the passkey; ``None``: the account in the response, which must be active.
    :return: the passkey, or ``None`` if the response is invalid.
    """
    try:
        credential = _read(answer)
        response = AuthenticationResponse.from_dict(credential)
        _check_origin(request, response.response.client_data)
        asked = account or webauthn.extract_user_from_response(credential)
        factor = webauthn.complete_authentication(asked, credential)
        if not asked.is_active or asked.is_service or not response.response.authenticator_data.is_user_verified():
            return None
    except _MALFORMED:
        return None
    finally:
        request.session.pop(webauthn.STATE_SESSION_KEY, None)
    factor.user = asked
    factor.record_usage()
    return factor


def add_passkey(request: HttpRequest, account: Account, name: str, answer: str) -> None:
    """Add a passkey that the browser has created.

    :raises ValidationError: when the response is invalid, or the account has too many passkeys.
    """
    try:
        credential = _read(answer)
        response = RegistrationResponse.from_dict(credential)
        _check_origin(request, response.response.client_data)
        made = webauthn.complete_registration(credential)
        if not made.is_user_verified() or made.credential_data is None:
            raise ValueError
        # Its signatures could not be verified.
        if isinstance(made.credential_data.public_key, UnsupportedKey):
            raise ValueError
    except _MALFORMED:
        raise ValidationError(_("Could not add the passkey. Try again.")) from None
    finally:
        request.session.pop(webauthn.STATE_SESSION_KEY, None)
    # Only verified parts of the response are stored.
    key = websafe_encode(made.credential_data.credential_id)
    data = {
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
        _added(account, webauthn.WebAuthn.add(account, name, data).instance)


def rename_passkey(factor: Authenticator, name: str) -> None:
    """Rename a passkey."""
    account = Account.objects.get(pk=factor.user_id)
    with transaction.atomic():
        record("second_factor.rename", account.account_id, kind=factor.type, old=name_of(factor), new=name)
        factor.data["name"] = name
        factor.save(update_fields=["data"])
