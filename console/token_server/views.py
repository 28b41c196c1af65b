"""The token endpoint: Distribution's token protocol, ``GET`` with Basic credentials, ``POST`` with an OAuth2 form."""

from __future__ import annotations

import base64
import binascii
import json
import logging
from typing import Any

from django.conf import settings
from django.core import exceptions
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, QueryDict, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.views.decorators.csrf import csrf_exempt

from console.access.grants import Access
from console.access.scopes import MOST_SCOPES, TooManyScopes, format_scope, parse_scopes
from console.audit.middleware import client_address
from console.throttling.hashing import Later
from console.token_server import services, trail
from console.token_server.lookup import Found
from console.web import protocol_errors

log = logging.getLogger(__name__)

_TOO_MANY = f"At most {MOST_SCOPES} scopes can be asked for at once."


class BadRequest(Exception):
    """A request that breaks the protocol. ``error`` is the OAuth2 code (RFC 6749, 5.2)."""

    def __init__(self, message: str, error: str = "invalid_request") -> None:
        super().__init__(message)
        self.error = error


def _answer(content: dict[str, Any], status: int = 200) -> HttpResponse:
    # JsonResponse makes an encoder for each, which knows of dates and the like.
    response = HttpResponse(json.dumps(content), status=status, content_type="application/json")
    response["Cache-Control"] = "no-store"  # RFC 6749, 5.1
    return response


def _refusal(status: int, code: str, message: str, oauth_error: str) -> HttpResponse:
    """A refusal with the protocol's error body, see ``protocol_errors.content``."""
    response = _answer(protocol_errors.content(code, message, oauth_error), status)
    if status == 401:
        response["WWW-Authenticate"] = f'Basic realm="{settings.REGISTRY_SERVICE}", charset="UTF-8"'
    return response


@csrf_exempt
def token(request: HttpRequest) -> HttpResponse:
    """Answer a request for a token. Refusals carry the protocol's error body, whatever went wrong."""
    try:
        if request.method == "POST":
            return _post(request)
        if request.method in {"GET", "HEAD"}:
            return _get(request)
    except services.Refused as refused:
        trail.count_refusal(client_address(request))
        if request.method == "POST":
            return _refusal(400, "UNAUTHORIZED", refused.message, "invalid_grant")
        return _refusal(401, "UNAUTHORIZED", refused.message, "invalid_client")
    except Later as later:
        response = _refusal(429, "TOOMANYREQUESTS", later.message, "temporarily_unavailable")
        response["Retry-After"] = str(later.seconds)
        return response
    except TooManyScopes:
        return _refusal(400, "UNSUPPORTED", _TOO_MANY, "invalid_scope")
    except BadRequest as problem:
        return _refusal(400, "UNSUPPORTED", str(problem), problem.error)
    except (exceptions.BadRequest, MultiPartParserError, UnreadablePostError):
        return _refusal(400, "UNSUPPORTED", "The form cannot be read.", "invalid_request")
    except (RequestDataTooBig, SuspiciousOperation):
        return _refusal(413, "UNSUPPORTED", "The request is too large.", "invalid_request")
    except (OperationalError, InterfaceError) as problem:
        log.error("token endpoint: the database cannot be reached (%s)", type(problem).__name__)
        response = _refusal(
            503,
            "UNAVAILABLE",
            "The service cannot reach its database. Try again shortly.",
            "temporarily_unavailable",
        )
        response["Retry-After"] = "5"
        return response
    response = _refusal(405, "UNSUPPORTED", "Use GET or POST.", "invalid_request")
    response["Allow"] = "GET, HEAD, POST"
    return response


def _service(parameters: QueryDict, required: bool) -> str:
    """The registry that a token is asked for: the installation's own when none is named, where that is allowed."""
    given = set(parameters.getlist("service")) or (set() if required else {settings.REGISTRY_SERVICE})
    if len(given) != 1 or not given <= services.known_services():
        raise BadRequest("The service asked for is not served here.")
    return given.pop()


def _basic_credentials(header: str) -> tuple[str, str]:
    """User name and password of an ``Authorization: Basic`` header (RFC 7617; UTF-8, split at the first colon).

    :raises services.Refused: when the header is something else.
    """
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise services.Refused
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise services.Refused from None
    username, colon, password = text.partition(":")
    if not colon:
        raise services.Refused
    return username, password


def _get(request: HttpRequest) -> HttpResponse:
    """``spec/auth/token``. ``account`` and ``client_id`` are the client's own notes and grant nothing."""
    parameters = request.GET
    service = _service(parameters, required=False)
    asked = parse_scopes(parameters.getlist("scope"))
    header = request.META.get("HTTP_AUTHORIZATION")
    address = client_address(request)
    found = services.authenticate(*_basic_credentials(header), asked, address) if header else services.nobody(asked)
    content, _granted = _token_content(found, asked, service, address)
    content["token"] = content["access_token"]
    if parameters.get("offline_token") == "true":
        refresh_token = services.make_refresh_token(found.caller, parameters.get("client_id", ""), address)
        content |= {"refresh_token": refresh_token} if refresh_token else {}
    return _answer(content)


def _post(request: HttpRequest) -> HttpResponse:
    """``spec/auth/oauth``: grants ``password`` and ``refresh_token``."""
    form = request.POST
    service = _service(form, required=True)
    asked = parse_scopes(form.getlist("scope"))
    grant_type = form.get("grant_type", "")
    refresh_token, address = "", client_address(request)
    if grant_type == "password":
        credentials = form.get("username", ""), form.get("password", "")
        found = services.authenticate(*credentials, asked, address)
        if form.get("access_type") == "offline":
            refresh_token = services.make_refresh_token(found.caller, form.get("client_id", ""), address)
    elif grant_type == "refresh_token":
        refresh_token = form.get("refresh_token", "")
        found = services.authenticate_refresh_token(refresh_token, asked, address)
    else:
        raise BadRequest("grant_type must be password or refresh_token.", "unsupported_grant_type")
    content, granted = _token_content(found, asked, service, address)
    content["scope"] = " ".join(format_scope(grant) for grant in granted)
    if refresh_token:
        content["refresh_token"] = refresh_token
    return _answer(content)


def _token_content(
    found: Found, asked: list[Access], service: str, address: str | None
) -> tuple[dict[str, Any], list[Access]]:
    signed, granted = services.issue(found, asked, service)
    trail.count(found, asked, granted, service, address)
    return {
        "access_token": signed.text,
        "expires_in": signed.expires_in,
        "issued_at": signed.issued_at.isoformat().replace("+00:00", "Z"),
    }, granted
