"""Issuing registry tokens: look up the facts, authenticate the caller, decide, sign."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from console.access.grants import Access, dockerhub_grants, registry_grants
from console.registry.signing import SignedToken, sign
from console.token_server import audit_events, authentication, logins, lookup
from console.token_server.lookup import Found
from console.token_server.token_request import RefreshToken, TokenRequest, sign_refresh_token


@dataclass(frozen=True)
class Issued:
    """The answer to a token request: the token, what it grants, and a refresh token (empty when there is none)."""

    token: SignedToken
    granted: list[Access]
    refresh_token: str = ""


def issue_token(request: TokenRequest) -> Issued:
    """Authenticate the caller, decide which of the requested scopes are granted, and sign a token for them.

    :raises Refused: when the credentials are wrong.
    :raises console.throttling.hashing.TryAgainLater: when a rate limit is reached.
    :raises django.db.OperationalError: when the database cannot be reached.
    """
    found = lookup.find(request)
    authentication.authenticate(request, found)
    if request.service == settings.DOCKERHUB_SERVICE:
        granted = dockerhub_grants(found.caller, request.asked)
    else:
        granted = registry_grants(found.caller, request.asked, found.repositories)
    token = sign(found.caller.username if found.caller else "", granted, request.service, found.at)
    audit_events.count(request, found, granted)
    return Issued(token, granted, _refresh_token(request, found))


def _refresh_token(request: TokenRequest, found: Found) -> str:
    """The refresh token of the answer: the one that was sent, a new one where one is requested, or none.

    A new one replaces the password until the password changes, the login is revoked, or ``REFRESH_TOKEN_SECONDS`` have
    passed. Anonymous callers get none, nor do clients with an access token: that can be listed and revoked already, and
    clients store its secret instead.
    """
    if isinstance(request.credentials, RefreshToken):
        return request.credentials.text
    if not request.offline or found.caller is None or found.caller.token is not None:
        return ""
    return sign_refresh_token(logins.begin(found.caller, request.client, request.address).pk)
