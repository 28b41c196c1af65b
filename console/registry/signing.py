"""Sign registry tokens: ES256 with the certificate chain in ``x5c`` (Distribution token specification, "JWT")."""

from __future__ import annotations

import base64
import datetime
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.utils import timezone

from console.access.grants import Access, console_grants
from console.access.scopes import parse_scopes

# A user name has no colon, so no account can have this name.
CONSOLE_SUBJECT = ":console"


@dataclass(frozen=True)
class SignedToken:
    """A token that is valid for ``expires_in`` seconds after ``issued_at``."""

    text: str
    issued_at: datetime.datetime
    expires_in: int


@dataclass(frozen=True)
class _Pair:
    """A key, and its certificates as a token's header carries them (RFC 7515, 4.1.6)."""

    key: ec.EllipticCurvePrivateKey
    x5c: list[str]


# The key that was read last, and the state of its file: the key may be replaced at any time.
_read: tuple[tuple[object, ...], _Pair] | None = None


def _signing_pair() -> _Pair:
    """The current key. The file is checked on each call, which takes microseconds, and read when it has changed."""
    global _read
    path = settings.KEYS.token_key
    known = _read
    try:
        found = path.stat()
        state = (path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if known is None or known[0] != state:
            # A race with a replacement is harmless: the next check finds another state.
            _read = known = (state, _load_pair(path))
    except FileNotFoundError:
        if known is None or known[0][0] != path:
            raise
    return known[1]


def _load_pair(path: Path) -> _Pair:
    pem = path.read_bytes()
    key = serialization.load_pem_private_key(pem, password=None)
    # RFC 7518, 3.4: ES256 uses this curve.
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TypeError("the token signing key is no P-256 elliptic curve key")
    chain = x509.load_pem_x509_certificates(pem)
    encoded = [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode() for certificate in chain]
    return _Pair(key, encoded)


def sign(
    subject: str,
    grants: Iterable[Access],
    service: str = "",
    at: datetime.datetime | None = None,
    *,
    key_file: Path | None = None,
) -> SignedToken:
    """Sign a token that allows exactly ``grants`` at one registry.

    :param subject: the user name, which the registry repeats in its notifications.
    :param service: the name of the registry, which is the audience; the installation's registry by default.
    :param at: the time of issue; now by default.
    :param key_file: a key to sign with instead of the current one.
    """
    pair = _load_pair(key_file) if key_file else _signing_pair()
    now = (at or timezone.now()).replace(microsecond=0)
    moment = int(now.timestamp())
    claims = {
        "iss": settings.TOKEN_ISSUER,
        "sub": subject,
        "aud": service or settings.REGISTRY_SERVICE,
        "iat": moment,
        "nbf": moment,
        "exp": moment + settings.TOKEN_SECONDS,
        "jti": uuid.uuid4().hex,
        "access": [{**_typed(grant.type), "name": grant.name, "actions": sorted(grant.actions)} for grant in grants],
    }
    text = jwt.encode(claims, pair.key, algorithm="ES256", headers={"x5c": pair.x5c})
    return SignedToken(text, now, settings.TOKEN_SECONDS)


def console_token(asked: tuple[str, ...], service: str = "") -> tuple[str, float]:
    """Sign a token for the console's own calls (``registry_client.SignedTokens``); with its lifetime in seconds.

    :param asked: the scopes.
    :param service: the name of the registry; the installation's registry by default.
    """
    grants = console_grants(parse_scopes(asked))
    token = sign(CONSOLE_SUBJECT, grants, service)
    return token.text, float(token.expires_in)


def _typed(kind: str) -> dict[str, str]:
    """``repository(plugin)`` is written as type ``repository`` and class ``plugin``."""
    name, bracket, rest = kind.partition("(")
    return {"type": name, "class": rest.rstrip(")")} if bracket else {"type": name}
