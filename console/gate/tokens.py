"""Authorization of requests to the gate: the registry token, and the challenge for requests without a valid one.

As Distribution does it (Distribution token specification, "How to authenticate"; RFC 6750, 3).
"""

from __future__ import annotations

from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest

from console.access.grants import CATALOG_ACTIONS, READABLE_CATALOG_ACTIONS
from console.gate.errors import ProtocolError
from console.registry.signing import InvalidToken, VerifiedToken, verify

_REQUIRED = "Log in first: docker login."
_INVALID = "The token is invalid or has expired. Log in again."
_INSUFFICIENT = "You don’t have access to this, or it does not exist."
_ACTIONS = {
    "GET": ("pull",),
    "HEAD": ("pull",),
    "PUT": ("pull", "push"),
    "DELETE": ("delete",),
}


def require(request: HttpRequest, repository: str, method: str = "") -> VerifiedToken:
    """The token of a request for ``repository`` (a valid name), which allows the request's method.

    :param method: another method that it must allow instead.

    :raises ProtocolError: 401 with a challenge, when there is no such token.
    """
    actions = _ACTIONS[method or request.method or ""]
    scope = f"repository:{repository}:{','.join(actions)}"
    token = _token(request, scope)
    if not token.allows("repository", repository, actions):
        raise _challenge(scope, _INSUFFICIENT, "insufficient_scope")
    return token


def require_catalog(request: HttpRequest) -> tuple[VerifiedToken, bool]:
    """The token of a request for the catalogue, and whether it shows all repositories.

    :raises ProtocolError: 401 with a challenge, when it allows neither that nor the readable ones.
    """
    scope = "registry:catalog:*"
    token = _token(request, scope)
    whole = token.allows("registry", "catalog", CATALOG_ACTIONS)
    if not whole and not token.allows("registry", "catalog", READABLE_CATALOG_ACTIONS):
        raise _challenge(scope, _INSUFFICIENT, "insufficient_scope")
    return token, whole


def _token(request: HttpRequest, scope: str) -> VerifiedToken:
    scheme, _space, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise _challenge(scope, _REQUIRED)
    try:
        return verify(text.strip())
    except InvalidToken:
        raise _challenge(scope, _INVALID, "invalid_token") from None


def _challenge(scope: str, message: str, error: str = "") -> ProtocolError:
    parameters = {"realm": settings.ENVIRONMENT.token_realm, "service": settings.REGISTRY_SERVICE, "scope": scope}
    if error:
        parameters["error"] = error
    value = ",".join(f'{name}="{text}"' for name, text in parameters.items())
    headers = {"WWW-Authenticate": f"Bearer {value}"}
    return ProtocolError(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED", message, headers=headers)
