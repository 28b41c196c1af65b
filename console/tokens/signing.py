"""Signing registry tokens: ES256 with the certificate chain in ``x5c`` (Distribution token specification, "JWT")."""

from __future__ import annotations

import base64
import datetime
import functools
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.utils import timezone

from console.policy import Access


@dataclass(frozen=True)
class SignedToken:
    """A token and when it was made; it lasts ``expires_in`` seconds from then."""

    text: str
    issued_at: datetime.datetime
    expires_in: int


@functools.cache
def _signing_pair() -> tuple[ec.EllipticCurvePrivateKey, dict[str, list[str]]]:
    """The key and the header that carries its certificate: read once for each process."""
    pem = settings.KEYS.token_key.read_bytes()
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the token signing key is not an elliptic curve key")
    chain = x509.load_pem_x509_certificates(pem)
    encoded = [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode() for certificate in chain]
    return key, {"x5c": encoded}


def sign(subject: str, grants: Iterable[Access], service: str = "", at: datetime.datetime | None = None) -> SignedToken:
    """A token that opens exactly ``grants`` at one registry.

    :param subject: who it was made for; the registry repeats it in its notifications.
    :param service: that registry's name, the audience: any other refuses it. The installation's when not given.
    :param at: from when on it counts: now when not given.
    """
    key, header = _signing_pair()
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
    return SignedToken(jwt.encode(claims, key, algorithm="ES256", headers=header), now, settings.TOKEN_SECONDS)


def _typed(kind: str) -> dict[str, str]:
    """``repository(plugin)`` is written as type ``repository`` and class ``plugin``."""
    name, bracket, rest = kind.partition("(")
    return {"type": name, "class": rest.rstrip(")")} if bracket else {"type": name}
