"""Sign and verify registry tokens: ES256 with the certificate chain in ``x5c``.

Distribution token specification, "JWT".
"""

from __future__ import annotations

import base64
import datetime
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.utils import timezone

from console.access.grants import Access, console_grants
from console.access.scopes import parse_scopes

T = TypeVar("T")

# A user name has no colon, so no account can have this name.
CONSOLE_SUBJECT = ":console"
_ALGORITHM = "ES256"
_REQUIRED_CLAIMS = ["iss", "aud", "exp", "nbf", "iat", "jti"]


class InvalidToken(Exception):
    """The text is no registry token that this console has signed, or not one that is valid now."""


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


class _CachedFile(Generic[T]):
    """The parsed content of a file, which is read again when it has changed: keys may be replaced at any time.

    The file is checked on each call, which takes microseconds.
    """

    def __init__(self, load: Callable[[Path], T]) -> None:
        self._load = load
        self._read: tuple[tuple[object, ...], T] | None = None

    def get(self, path: Path) -> T:
        known = self._read
        try:
            found = path.stat()
            state = (path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            if known is None or known[0] != state:
                # A race with a replacement is harmless: the next check finds another state.
                self._read = known = (state, self._load(path))
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
    return _Pair(key, [_encoded(certificate) for certificate in chain])


def _encoded(certificate: x509.Certificate) -> str:
    """A certificate as an entry of ``x5c``."""
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


def _load_trusted(path: Path) -> Mapping[str, Any]:
    """The public keys of the trusted certificates, each by its certificate as an entry of ``x5c``."""
    return {_encoded(one): one.public_key() for one in x509.load_pem_x509_certificates(path.read_bytes())}


_signing_pair = _CachedFile(_load_pair)
_trusted_keys = _CachedFile(_load_trusted)


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
    pair = _load_pair(key_file) if key_file else _signing_pair.get(settings.KEYS.token_key)
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
    text = jwt.encode(claims, pair.key, algorithm=_ALGORITHM, headers={"x5c": pair.x5c})
    return SignedToken(text, now, settings.TOKEN_SECONDS)


@dataclass(frozen=True)
class VerifiedToken:
    """The subject of a valid token (a user name, empty for anonymous pulls), and what it allows."""

    subject: str
    access: tuple[Access, ...]

    def allows(self, kind: str, name: str, actions: Iterable[str]) -> bool:
        """Whether the token allows all these actions on one resource; ``kind`` as ``repository``."""
        allowed = {action for one in self.access if (one.type, one.name) == (kind, name) for action in one.actions}
        return allowed.issuperset(actions)


class _VerifiedTokens:
    """The last tokens that were verified: a client sends the same one with each manifest of a push. Thread-safe.

    They count as long as they have not expired, and as the trusted keys are those that they were verified with.
    """

    _MOST, _LONGEST = 200, 4096

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[Mapping[str, Any], VerifiedToken, int]] = {}

    def get(self, text: str, service: str, trusted: Mapping[str, Any]) -> VerifiedToken | None:
        keys, token, expires = self._known.get((text, service), (None, None, 0))
        valid = keys is trusted and time.time() < expires + settings.REGISTRY_CLOCK_SKEW_SECONDS
        return token if valid else None

    def put(self, text: str, service: str, trusted: Mapping[str, Any], token: VerifiedToken, expires: int) -> None:
        if len(text) > self._LONGEST:
            return
        with self._lock:
            while len(self._known) >= self._MOST:
                del self._known[next(iter(self._known))]
            self._known[text, service] = (trusted, token, expires)


_verified = _VerifiedTokens()


def verify(text: str, service: str = "") -> VerifiedToken:
    """Verify a token as the registry does: its certificate, signature, issuer, audience and times.

    Any of the certificates that the registries trust will do, so tokens that a former key signed stay valid until they
    expire. Clocks may differ by ``REGISTRY_CLOCK_SKEW_SECONDS``.

    :param service: the name of the registry that the token must be for; the installation's registry by default.
    :raises InvalidToken: when any of these is wrong.
    """
    trusted = _trusted_keys.get(settings.KEYS.token_certificate)
    service = service or settings.REGISTRY_SERVICE
    known = _verified.get(text, service, trusted)
    if known is not None:
        return known
    try:
        chain = jwt.get_unverified_header(text).get("x5c")
        if not isinstance(chain, list) or not chain or not isinstance(chain[0], str):
            raise InvalidToken
        key = trusted.get(chain[0])
        if key is None:
            raise InvalidToken
        claims = jwt.decode(
            text,
            key,
            algorithms=[_ALGORITHM],
            audience=service,
            issuer=settings.TOKEN_ISSUER,
            leeway=settings.REGISTRY_CLOCK_SKEW_SECONDS,
            options={"require": _REQUIRED_CLAIMS},
        )
    except (jwt.InvalidTokenError, RecursionError):
        raise InvalidToken from None
    entries = claims.get("access") or []
    token = VerifiedToken(
        claims.get("sub", ""),
        tuple(Access(_kind(entry), entry["name"], frozenset(entry["actions"])) for entry in entries),
    )
    _verified.put(text, service, trusted, token, int(claims["exp"]))
    return token


def _kind(entry: Mapping[str, Any]) -> str:
    """The type of an entry of ``access`` as scopes have it: the reverse of ``_typed``."""
    return f"{entry['type']}({entry['class']})" if entry.get("class") else entry["type"]


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
