"""Issuing registry tokens: authenticate the caller, decide, sign."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import cast

from django.conf import settings
from django.core import signing
from django.utils import timezone

from console.access.grants import Access, Caller, dockerhub_grants, registry_grants
from console.access_tokens import services as access_tokens
from console.accounts.token_secrets import hash_secret, looks_like_secret
from console.registry.signing import SignedToken, sign
from console.throttling import guesses
from console.throttling.guesses import CONSOLE, REGISTRY, Attempt
from console.token_server import audit_events, logins, lookup, passwords
from console.token_server.lookup import Found
from console.token_server.token_request import Password, RefreshToken, Refused, TokenRequest

_REFRESH_SALT = "console.tokens.refresh"


@dataclass(frozen=True)
class Issued:
    """What a request was answered with: the token, what it grants, and a refresh token where there is one."""

    token: SignedToken
    granted: list[Access]
    refresh_token: str = ""


def issue_token(request: TokenRequest) -> Issued:
    """Authenticate the caller, decide what of the scopes is granted, and sign it. One statement reads all facts.

    :raises Refused: when the credentials are not right.
    :raises console.throttling.hashing.TryAgainLater: when they cannot be tried now.
    :raises django.db.OperationalError: when the database cannot be reached.
    """
    found = authenticate(request)
    caller = found.caller
    if request.service == settings.DOCKERHUB_SERVICE:
        granted = dockerhub_grants(caller, request.asked)
    else:
        granted = registry_grants(caller, request.asked, found.repositories)
    token = sign(caller.username if caller else "", granted, request.service, found.at)
    audit_events.count(found, request, granted)
    return Issued(token, granted, _refresh_token(request, caller))


def authenticate(request: TokenRequest) -> Found:
    """The caller whose credentials these are, if any were sent, and what is known of the repositories asked for.

    :raises Refused: also, at the same cost in time, for a user name that does not exist.
    :raises console.throttling.hashing.TryAgainLater: when they cannot be tried now.
    """
    credentials = request.credentials
    if credentials is None:
        return lookup.for_anybody(request.asked)
    if isinstance(credentials, RefreshToken):
        return _by_refresh_token(request, credentials.text)
    if looks_like_secret(credentials.password):
        return _by_access_token(request, credentials)
    return _by_password(request, credentials)


def _by_password(request: TokenRequest, credentials: Password) -> Found:
    attempt = Attempt(REGISTRY, credentials.username, request.address, credentials.username)
    found = lookup.by_username(credentials.username, request.asked, attempt)
    if found.caller is None:
        attempt = replace(attempt, name="")
    if not passwords.verify_password(found.caller, credentials.password, attempt, found.marks) or found.caller is None:
        raise Refused
    guesses.record_success(attempt, found.marks, [Attempt(CONSOLE, f"account:{found.caller.account}", request.address)])
    return found


def _by_access_token(request: TokenRequest, credentials: Password) -> Found:
    """Nobody can guess one, so a right one is never held back. Its use is noted."""
    attempt = Attempt(REGISTRY, credentials.username, request.address)
    found = lookup.by_secret(credentials.username, hash_secret(credentials.password), request.asked, attempt)
    if found.caller is None or found.use is None or not found.caller.usable:
        guesses.raise_if_limited(found.marks, secret=True)
        guesses.record_failure(attempt, found.marks, secret=True)
        raise Refused
    now = timezone.now()
    if access_tokens.use_is_news(found.use.last_at, found.use.last_from, request.address, now):
        access_tokens.used(cast(int, found.use.shown), request.address, now)
    return found


def _by_refresh_token(request: TokenRequest, text: str) -> Found:
    """A refresh token stands for the password, unless it is forged, too old, revoked, or from before a new password."""
    try:
        content = signing.loads(text, salt=_REFRESH_SALT, max_age=settings.REFRESH_TOKEN_SECONDS)
        login = uuid.UUID(hex=content["login"])
    except signing.SignatureExpired:
        raise Refused from None
    except signing.BadSignature:
        attempt = Attempt(REGISTRY, None, request.address)
        marks = guesses.read_marks(attempt)
        guesses.raise_if_limited(marks, secret=True)
        guesses.record_failure(attempt, marks, secret=True)
        raise Refused from None
    except (AttributeError, KeyError, TypeError, ValueError):  # made by an earlier version
        raise Refused from None
    found = lookup.by_login(login, request.asked)
    if found.caller is None or found.use is None or not found.caller.usable:
        raise Refused
    now = timezone.now()
    if access_tokens.use_is_news(found.use.last_at, found.use.last_from, request.address, now):
        logins.used(login, request.address, now)
    return found


def _refresh_token(request: TokenRequest, caller: Caller | None) -> str:
    """The refresh token of the answer: the one that was sent, a new one where one is asked for, or none.

    A new one stands for the password until that changes, for ``REFRESH_TOKEN_SECONDS``, or until it is revoked. It is
    signed and names a row, by which its account sees it. Nobody anonymous has one, nor a client with an access token:
    that has a list and an end of its own, and clients keep its secret instead.
    """
    if isinstance(request.credentials, RefreshToken):
        return request.credentials.text
    if not request.offline or caller is None or caller.token is not None:
        return ""
    login = logins.begin(caller, request.client, request.address)
    return signing.dumps({"login": login.pk.hex}, salt=_REFRESH_SALT)
