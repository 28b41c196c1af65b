"""Reading a request for a token: Distribution's token protocol (``spec/auth/token`` and ``spec/auth/oauth``)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from django.conf import settings
from django.http import HttpRequest, QueryDict

from console.access.grants import Access
from console.access.scopes import parse_scopes
from console.audit.middleware import client_address


class Refused(Exception):
    """Wrong user name or password, or an account that may not use the registry. Always the same sentence."""

    message = "The user name or password is not right, or the service is not activated for this account."


class BadRequest(Exception):
    """A request that breaks the protocol. ``error`` is the OAuth2 code (RFC 6749, 5.2)."""

    def __init__(self, message: str, error: str = "invalid_request") -> None:
        super().__init__(message)
        self.error = error


@dataclass(frozen=True)
class Password:
    """A user name, and the registry password or the secret of an access token."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class RefreshToken:
    """A refresh token, as it was sent."""

    text: str = field(repr=False)


@dataclass(frozen=True)
class TokenRequest:
    """What is asked for, by whom, and for which registry.

    :param service: the registry's name, one of ``known_services()``.
    :param asked: the scopes, parsed.
    :param credentials: ``None`` for an anonymous request.
    :param address: the IP address that it came from, if that is known.
    :param client: what the client calls itself; a note for the list of logins.
    :param offline: whether a refresh token is asked for as well.
    """

    service: str
    asked: tuple[Access, ...]
    credentials: Password | RefreshToken | None
    address: str | None
    client: str = ""
    offline: bool = False


def known_services() -> frozenset[str]:
    """The names of the registries that tokens are given out for."""
    return frozenset(
        {settings.REGISTRY_SERVICE} | ({settings.DOCKERHUB_SERVICE} if settings.DOCKERHUB_ENABLED else set())
    )


def read_get(request: HttpRequest) -> TokenRequest:
    """A ``GET`` with Basic credentials or none; ``account`` and ``client_id`` are the client's notes and grant nothing.

    :raises BadRequest: for another service than those known.
    :raises Refused: when the ``Authorization`` header is not Basic credentials.
    :raises console.access.scopes.TooManyScopes: when too much is asked for.
    """
    parameters, header = request.GET, request.META.get("HTTP_AUTHORIZATION")
    return TokenRequest(
        _service(parameters, required=False),
        tuple(parse_scopes(parameters.getlist("scope"))),
        basic_credentials(header) if header else None,
        client_address(request),
        parameters.get("client_id", ""),
        parameters.get("offline_token") == "true",
    )


def read_post(request: HttpRequest) -> TokenRequest:
    """A ``POST`` with an OAuth2 form: grants ``password`` and ``refresh_token``.

    :raises BadRequest: for another grant, or another service than those known.
    :raises console.access.scopes.TooManyScopes: when too much is asked for.
    """
    form = request.POST
    service, asked = _service(form, required=True), tuple(parse_scopes(form.getlist("scope")))
    grant_type, client, address = form.get("grant_type", ""), form.get("client_id", ""), client_address(request)
    if grant_type == "password":
        password = Password(form.get("username", ""), form.get("password", ""))
        return TokenRequest(service, asked, password, address, client, form.get("access_type") == "offline")
    if grant_type == "refresh_token":
        return TokenRequest(service, asked, RefreshToken(form.get("refresh_token", "")), address, client)
    raise BadRequest("grant_type must be password or refresh_token.", "unsupported_grant_type")


def _service(parameters: QueryDict, required: bool) -> str:
    """The registry that a token is asked for: the installation's own when none is named, where that is allowed."""
    given = set(parameters.getlist("service")) or (set() if required else {settings.REGISTRY_SERVICE})
    if len(given) != 1 or not given <= known_services():
        raise BadRequest("The service asked for is not served here.")
    return given.pop()


def basic_credentials(header: str) -> Password:
    """User name and password of an ``Authorization: Basic`` header (RFC 7617; UTF-8, split at the first colon).

    :raises Refused: when the header is something else.
    """
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise Refused
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise Refused from None
    username, colon, password = text.partition(":")
    if not colon:
        raise Refused
    return Password(username, password)
