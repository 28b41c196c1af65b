"""Verify the credentials of a token request against what the lookup read."""

from __future__ import annotations

from dataclasses import replace

from console.throttling import guesses
from console.throttling.guesses import CONSOLE, Attempt
from console.token_server import last_use, passwords
from console.token_server.lookup import Found
from console.token_server.token_request import Password, Refused, TokenRequest


def authenticate(request: TokenRequest, found: Found) -> None:
    """Verify that the caller who was found is the one who sent the request. Anonymous requests pass.

    :raises Refused: when the credentials are wrong; for an unknown user name as well, after the same time.
    :raises console.throttling.hashing.TryAgainLater: when a rate limit is reached.
    """
    if request.credentials is None:
        return
    if isinstance(request.credentials, Password) and request.attempt is not None:
        _require_password(request.credentials.password, request.attempt, found)
    elif found.caller is None or found.use is None or not found.caller.usable:
        _refuse_secret(request, found)
    else:
        last_use.record(request, found.use)


def _require_password(password: str, attempt: Attempt, found: Found) -> None:
    if found.caller is None:
        attempt = replace(attempt, name="")
    if not passwords.verify_password(found.caller, password, attempt, found.marks) or found.caller is None:
        raise Refused
    # The same person may sign in to the console from there.
    console = Attempt(CONSOLE, f"account:{found.caller.account}", attempt.address)
    guesses.record_success(attempt, found.marks, [console])


def _refuse_secret(request: TokenRequest, found: Found) -> None:
    """Refuse a wrong secret or refresh token. A right one is never rate limited: nobody can guess 256 random bits."""
    if request.attempt is not None:
        guesses.raise_if_limited(found.marks, secret=True)
        guesses.record_failure(request.attempt, found.marks, secret=True)
    raise Refused
