"""Reading a request for a token: Distribution's token protocol (``spec/auth/token`` and ``spec/auth/oauth``)."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import functools
import uuid
from dataclasses import dataclass, field

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, QueryDict

from console.access.grants import Access
from console.access.scopes import parse_scopes
from console.access.token_secrets import looks_like_secret
from console.audit.middleware import client_address
from console.throttling.guesses import REGISTRY, Attempt

_REFRESH_SALT = "console.tokens.refresh"


class Refused(Exception):
    """Wrong credentials, or an account that may not use the registry. The message is the same for all of them."""

    message = "The user name or password is wrong, or the service is not activated for this account."


class BadRequest(Exception):
    """A request that breaks the protocol. ``error`` is the OAuth2 code (RFC 6749, 5.2)."""

    def __init__(self, message: str, error: str = "invalid_request") -> None:
        super().__init__(message)
        self.error = error


@dataclass(frozen=True)
class Password:
    """A user name and the registry password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Secret:
    """A user name and the secret of an access token, which clients send in place of the password."""

    username: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class RefreshToken:
    """A refresh token as the client sent it. ``login`` is the primary key it names; ``None`` when it is forged."""

    text: str = field(repr=False)
    login: uuid.UUID | None


@dataclass(frozen=True)
class TokenRequest:
    """A request for a token: what is requested, by whom, and for which registry.

    :param service: the registry's name, one of ``known_services()``.
    :param asked: the requested scopes, parsed.
    :param credentials: ``None`` for an anonymous request.
    :param address: the client's IP address, or ``None`` if the server does not know it.
    :param client: the client's name for itself; only shown in the list of logins.
    :param offline: whether a refresh token is requested as well.
    """

    service: str
    asked: tuple[Access, ...]
    credentials: Password | Secret | RefreshToken | None
    address: str | None
    client: str = ""
    offline: bool = False

    @functools.cached_property
    def attempt(self) -> Attempt | None:
        """The guess that the rate limits count if the credentials are wrong.

        ``None`` without credentials, and for a refresh token with a valid signature: neither can be guessed.
        """
        credentials = self.credentials
        if isinstance(credentials, Password):
            return Attempt(REGISTRY, credentials.username, self.address, credentials.username)
        if isinstance(credentials, Secret):
            return Attempt(REGISTRY, credentials.username, self.address)
        if isinstance(credentials, RefreshToken) and credentials.login is None:
            return Attempt(REGISTRY, None, self.address)
        return None


def known_services() -> frozenset[str]:
    """The names of the registries that this endpoint issues tokens for."""
    return frozenset(
        {settings.REGISTRY_SERVICE} | ({settings.DOCKERHUB_SERVICE} if settings.DOCKERHUB_ENABLED else set())
    )


def read_token_request(request: HttpRequest) -> TokenRequest:
    """Read a ``GET`` (``spec/auth/token``) or a ``POST`` (``spec/auth/oauth``).

    :raises BadRequest: for an unknown service or grant type.
    :raises Refused: when the credentials are not Basic credentials, or the refresh token has expired.
    :raises console.access.scopes.TooManyScopes: when more scopes are requested than one token can carry.
    """
    return _with_cache(_read_post(request) if request.method == "POST" else _read_get(request))


def _with_cache(request: TokenRequest) -> TokenRequest:
    """A request for images of the cache by their names at the registry's address, as one to the cache.

    There the cache is the folder ``settings.DOCKERHUB_FOLDER`` of the registry. Clients ask for the names that they
    see, and many for the service that answers ``/v2/``; the cache itself knows neither the folder nor that service. A
    token is for one of the two: a request for both is the registry's, which has nothing in the folder.
    """
    folder = settings.DOCKERHUB_FOLDER
    if not folder or not request.asked:
        return request
    inside = [access.name.startswith(f"{folder}/") for access in request.asked]
    if request.service != settings.DOCKERHUB_SERVICE and not all(inside):
        return request
    merged: dict[tuple[str, str], frozenset[str]] = {}
    for access in request.asked:
        key = (access.type, access.name.removeprefix(f"{folder}/"))
        merged[key] = merged.get(key, frozenset()) | access.actions
    asked = tuple(Access(kind, name, actions) for (kind, name), actions in merged.items())
    return dataclasses.replace(request, service=settings.DOCKERHUB_SERVICE, asked=asked)


def _read_get(request: HttpRequest) -> TokenRequest:
    """With Basic credentials or none. ``account`` and ``client_id`` are the client's notes and grant nothing."""
    parameters, header = request.GET, request.META.get("HTTP_AUTHORIZATION")
    return TokenRequest(
        _service(parameters, required=False),
        tuple(parse_scopes(parameters.getlist("scope"))),
        _by_name(*basic_credentials(header)) if header else None,
        client_address(request),
        parameters.get("client_id", ""),
        parameters.get("offline_token") == "true",
    )


def _read_post(request: HttpRequest) -> TokenRequest:
    """With an OAuth2 form: the grant types ``password`` and ``refresh_token``."""
    form = request.POST
    return TokenRequest(
        _service(form, required=True),
        tuple(parse_scopes(form.getlist("scope"))),
        _form_credentials(form),
        client_address(request),
        form.get("client_id", ""),
        form.get("access_type") == "offline",
    )


def _service(parameters: QueryDict, required: bool) -> str:
    """The requested registry; by default the installation's own, unless ``required``."""
    given = set(parameters.getlist("service")) or (set() if required else {settings.REGISTRY_SERVICE})
    if len(given) != 1 or not given <= known_services():
        raise BadRequest("Unknown service.")
    return given.pop()


def _form_credentials(form: QueryDict) -> Password | Secret | RefreshToken:
    grant_type = form.get("grant_type", "")
    if grant_type == "password":
        return _by_name(form.get("username", ""), form.get("password", ""))
    if grant_type == "refresh_token":
        return _refresh_token(form.get("refresh_token", ""))
    raise BadRequest("grant_type must be password or refresh_token.", "unsupported_grant_type")


def basic_credentials(header: str) -> tuple[str, str]:
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
    return username, password


def _by_name(username: str, password: str) -> Password | Secret:
    return Secret(username, password) if looks_like_secret(password) else Password(username, password)


def _refresh_token(text: str) -> RefreshToken:
    """Verify the signature and the age of a refresh token, and read the login that it names.

    :raises Refused: when it has expired, or an earlier version made it. Neither counts as a wrong guess.
    """
    try:
        content = signing.loads(text, salt=_REFRESH_SALT, max_age=settings.REFRESH_TOKEN_SECONDS)
        return RefreshToken(text, uuid.UUID(hex=content["login"]))
    except signing.SignatureExpired:
        raise Refused from None
    except signing.BadSignature:
        return RefreshToken(text, None)
    except (AttributeError, KeyError, TypeError, ValueError):  # an earlier version made it
        raise Refused from None


def sign_refresh_token(login: uuid.UUID) -> str:
    """The refresh token that names a login, as ``read_token_request`` accepts it for ``REFRESH_TOKEN_SECONDS``."""
    return signing.dumps({"login": login.hex}, salt=_REFRESH_SALT)
