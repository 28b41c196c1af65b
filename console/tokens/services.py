"""Who is asking, and the tokens they get."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.core import signing
from django.utils import timezone

from console import policy
from console.accounts import access_tokens
from console.policy import Access, Caller
from console.tokens import lookup, passwords, scopes
from console.tokens.lookup import Found
from console.tokens.signing import SignedToken, sign

# No user name can have a colon, so the console cannot be mistaken for somebody.
CONSOLE_SUBJECT = ":console"
_REFRESH_SALT = "console.tokens.refresh"


class Refused(Exception):
    """Wrong user name or password, or an account that may not use the registry. Always the same sentence."""

    message = "The user name or password is not right, or the service is not activated for this account."


def authenticate(username: str, password: str, asked: Sequence[Access] = (), address: str | None = None) -> Found:
    """The account that ``username`` and the registry password belong to, and the repositories of ``asked``.

    An access token's secret does in place of the password.

    :param address: where the request came from; it is noted with the use of an access token.
    :raises Refused: also, at the same cost in time, for a user name that does not exist.
    """
    if access_tokens.looks_like_secret(password):
        return _authenticate_secret(username, password, asked, address)
    found = lookup.by_username(username, asked)
    if found.caller is None:
        passwords.pretend(password)
        raise Refused
    if not passwords.is_right(found.caller, password) or not found.caller.usable:
        raise Refused
    return found


def _authenticate_secret(username: str, secret: str, asked: Sequence[Access], address: str | None) -> Found:
    found = lookup.by_secret(username, access_tokens.hash_secret(secret), asked)
    if found.caller is None or found.use is None or not found.caller.usable:
        raise Refused
    now = timezone.now()
    if access_tokens.use_is_news(found.use.last_at, found.use.last_from, address, now):
        access_tokens.used(found.use.token, address, now)
    return found


def make_refresh_token(caller: Caller | None) -> str:
    """A token that stands for the password until the password changes, or for ``REFRESH_TOKEN_SECONDS``.

    It is signed and not stored: asking for one creates no row. Nobody anonymous has one, nor whoever shows an access
    token: its own secret is to be kept, which is listed and can be revoked. Clients then keep that; empty.
    """
    if caller is None or caller.token is not None:
        return ""
    return signing.dumps({"account": caller.account, "version": caller.version}, salt=_REFRESH_SALT)


def authenticate_refresh_token(token: str, asked: Sequence[Access] = ()) -> Found:
    """The account that a refresh token stands for, and the repositories of ``asked``.

    :raises Refused: for a token that is forged, too old, or made under an earlier password.
    """
    try:
        content = signing.loads(token, salt=_REFRESH_SALT, max_age=settings.REFRESH_TOKEN_SECONDS)
        account, version = content["account"], content["version"]
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        raise Refused from None
    if not isinstance(account, int) or not isinstance(version, int):
        raise Refused
    found = lookup.by_version(account, version, asked)
    if found.caller is None or not found.caller.usable:
        raise Refused
    return found


def nobody(asked: Sequence[Access]) -> Found:
    """Somebody anonymous, and the repositories of ``asked``."""
    return lookup.for_anybody(asked)


def known_services() -> frozenset[str]:
    """The names of the registries that tokens are given out for."""
    return frozenset(
        {settings.REGISTRY_SERVICE} | ({settings.DOCKERHUB_SERVICE} if settings.DOCKERHUB_ENABLED else set())
    )


def issue(found: Found, asked: Sequence[Access], service: str) -> tuple[SignedToken, list[Access]]:
    """A token for what the policy grants of ``asked``, and those grants.

    :param found: who asks, and what is known of the repositories.
    :param service: the one of ``known_services()`` that the token is for; at the others it opens nothing.
    """
    caller = found.caller
    if service == settings.DOCKERHUB_SERVICE:
        grants = policy.dockerhub_grants(caller, asked)
    else:
        grants = policy.registry_grants(caller, asked, found.repositories)
    return sign(caller.username if caller else "", grants, service, found.at), grants


def console_token(asked: tuple[str, ...], service: str = "") -> tuple[str, float]:
    """A token for the console's own calls, and its life in seconds: the seam that ``registry_client`` asks.

    :param service: which registry the token is for: the installation's own when not given.
    """
    grants = policy.console_grants(scopes.parse_scopes(asked))
    token = sign(CONSOLE_SUBJECT, grants, service)
    return token.text, float(token.expires_in)
