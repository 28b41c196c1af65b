"""Who is asking, and the tokens they get."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from django.conf import settings
from django.core import signing
from django.utils import timezone

from console.access.grants import Access, Caller, dockerhub_grants, registry_grants
from console.access_tokens import services as access_tokens
from console.accounts.token_secrets import hash_secret, looks_like_secret
from console.registry.signing import SignedToken, sign
from console.throttling import services as guessing
from console.throttling.services import CONSOLE, REGISTRY, Attempt
from console.token_server import logins, lookup, passwords
from console.token_server.lookup import Found

_REFRESH_SALT = "console.tokens.refresh"


class Refused(Exception):
    """Wrong user name or password, or an account that may not use the registry. Always the same sentence."""

    message = "The user name or password is not right, or the service is not activated for this account."


def authenticate(username: str, password: str, asked: Sequence[Access] = (), address: str | None = None) -> Found:
    """The account that ``username`` and the registry password belong to, and the repositories of ``asked``.

    An access token's secret does in place of the password.

    :param address: where the request came from; it is noted with the use of an access token.
    :raises Refused: also, at the same cost in time, for a user name that does not exist.
    :raises console.throttling.hashing.Later: when it cannot be tried now.
    """
    if looks_like_secret(password):
        return _authenticate_secret(username, password, asked, address)
    attempt = Attempt(REGISTRY, username, address, username)
    found = lookup.by_username(username, asked, attempt)
    if found.caller is None:
        attempt = replace(attempt, name="")
    if not passwords.is_right(found.caller, password, attempt, found.marks) or found.caller is None:
        raise Refused
    guessing.right(attempt, found.marks, [Attempt(CONSOLE, f"account:{found.caller.account}", address)])
    return found


def _authenticate_secret(username: str, secret: str, asked: Sequence[Access], address: str | None) -> Found:
    """Nobody can guess one, so a right one is never held back."""
    attempt = Attempt(REGISTRY, username, address)
    found = lookup.by_secret(username, hash_secret(secret), asked, attempt)
    if found.caller is None or found.use is None or not found.caller.usable:
        guessing.refuse(found.marks, secret=True)
        guessing.wrong(attempt, found.marks, secret=True)
        raise Refused
    now = timezone.now()
    if access_tokens.use_is_news(found.use.last_at, found.use.last_from, address, now):
        access_tokens.used(cast(int, found.use.shown), address, now)
    return found


def make_refresh_token(caller: Caller | None, client: str = "", address: str | None = None) -> str:
    """A token that stands for the password until the password changes, for ``REFRESH_TOKEN_SECONDS``, or until revoked.

    It is signed and names a row, by which its account sees it and revokes it. Nobody anonymous has one, nor whoever
    shows an access token: its own secret is to be kept, which is listed and can be revoked. Clients then keep that;
    empty.
    """
    if caller is None or caller.token is not None:
        return ""
    return signing.dumps({"login": logins.begin(caller, client, address).pk.hex}, salt=_REFRESH_SALT)


def authenticate_refresh_token(token: str, asked: Sequence[Access] = (), address: str | None = None) -> Found:
    """The account that a refresh token stands for, and the repositories of ``asked``.

    :param address: where the request came from.
    :raises Refused: for a token that is forged, too old, revoked, or made under an earlier password.
    :raises console.throttling.hashing.Later: when too many forged ones came from there.
    """
    try:
        content = signing.loads(token, salt=_REFRESH_SALT, max_age=settings.REFRESH_TOKEN_SECONDS)
        login = uuid.UUID(hex=content["login"])
    except signing.SignatureExpired:
        raise Refused from None
    except signing.BadSignature:
        attempt = Attempt(REGISTRY, None, address)
        marks = guessing.read(attempt)
        guessing.refuse(marks, secret=True)
        guessing.wrong(attempt, marks, secret=True)
        raise Refused from None
    except (AttributeError, KeyError, TypeError, ValueError):  # made by an earlier version
        raise Refused from None
    found = lookup.by_login(login, asked)
    if found.caller is None or found.use is None or not found.caller.usable:
        raise Refused
    now = timezone.now()
    if access_tokens.use_is_news(found.use.last_at, found.use.last_from, address, now):
        logins.used(login, address, now)
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
    """A token for what the rules grant of ``asked``, and those grants.

    :param found: who asks, and what is known of the repositories.
    :param service: the one of ``known_services()`` that the token is for; at the others it opens nothing.
    """
    caller = found.caller
    if service == settings.DOCKERHUB_SERVICE:
        grants = dockerhub_grants(caller, asked)
    else:
        grants = registry_grants(caller, asked, found.repositories)
    return sign(caller.username if caller else "", grants, service, found.at), grants
