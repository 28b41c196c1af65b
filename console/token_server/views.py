"""The token endpoint: Distribution's token protocol, ``GET`` with Basic credentials, ``POST`` with an OAuth2 form."""

from __future__ import annotations

import json
import logging
from typing import Any

from django.conf import settings
from django.core import exceptions
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.views.decorators.csrf import csrf_exempt

from console.access.scopes import MOST_SCOPES, TooManyScopes, format_scope
from console.audit.middleware import client_address
from console.throttling.hashing import TryAgainLater
from console.token_server import audit_events, services
from console.token_server.token_request import BadRequest, Refused, read_token_request
from console.web import protocol_errors

log = logging.getLogger(__name__)

_TOO_MANY = f"At most {MOST_SCOPES} scopes can be requested at once."


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
        if request.method in {"GET", "HEAD", "POST"}:
            return _answer(_content(request, services.issue_token(read_token_request(request))))
    except Refused as refused:
        audit_events.count_refusal(client_address(request))
        if request.method == "POST":
            return _refusal(400, "UNAUTHORIZED", refused.message, "invalid_grant")
        return _refusal(401, "UNAUTHORIZED", refused.message, "invalid_client")
    except TryAgainLater as later:
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


def _content(request: HttpRequest, issued: services.Issued) -> dict[str, Any]:
    """The body as ``spec/auth/token`` (``GET``) or ``spec/auth/oauth`` (``POST``) defines it."""
    content = {
        "access_token": issued.token.text,
        "expires_in": issued.token.expires_in,
        "issued_at": issued.token.issued_at.isoformat().replace("+00:00", "Z"),
    }
    if issued.refresh_token:
        content["refresh_token"] = issued.refresh_token
    if request.method == "POST":
        return content | {"scope": " ".join(map(format_scope, issued.granted))}
    return content | {"token": issued.token.text}
