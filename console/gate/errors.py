"""Errors of the registry's API: the protocol's body, with a message that clients print."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Concatenate, ParamSpec, TypeAlias

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from console.web import protocol_errors
from registry_client import (
    Denied,
    DigestMismatch,
    InvalidName,
    ManifestBlobUnknown,
    NotFound,
    RegistryError,
    Unauthorized,
    Unsupported,
)

log = logging.getLogger(__name__)

P = ParamSpec("P")
_View: TypeAlias = Callable[Concatenate[HttpRequest, P], HttpResponse]

_API_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
_NO_DATABASE = "The service cannot reach its database. Try again shortly."
_NO_REGISTRY = "The registry cannot be reached, or has a problem. Try again shortly."
_READ_ONLY = "The registry does not accept changes at the moment: its disk may be full. Ask an administrator."
_BROKEN = "Something went wrong inside My Images. Ask an administrator to check the log."


class ProtocolError(Exception):
    """An error response: status, error code of the OCI distribution specification, and a sentence."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        detail: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.detail = int(status), code, message, detail
        self.headers = dict(headers or {})


def denied(message: str) -> ProtocolError:
    """403: the rules do not allow it; clients print the sentence."""
    return ProtocolError(HTTPStatus.FORBIDDEN, "DENIED", message)


def name_unknown(repository: str) -> ProtocolError:
    """404: there is no such repository."""
    return ProtocolError(
        HTTPStatus.NOT_FOUND, "NAME_UNKNOWN", f"There is no repository {repository}.", detail={"name": repository}
    )


def manifest_unknown(repository: str, reference: str) -> ProtocolError:
    """404: the repository has no such tag or manifest."""
    return ProtocolError(
        HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN", f"{repository} has no manifest {reference}.", detail=reference
    )


def unavailable(message: str) -> ProtocolError:
    """503: the client may try again."""
    return ProtocolError(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE", message, headers={"Retry-After": "5"})


def json_response(
    content: Mapping[str, Any],
    status: int = 200,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """A JSON response of the registry's API."""
    body = json.dumps(content)
    return HttpResponse(body, status=status, content_type=content_type, headers={**_API_VERSION, **(headers or {})})


def empty_response(status: int, headers: Mapping[str, str]) -> HttpResponse:
    """A response of the registry's API without a body."""
    response = HttpResponse(status=status, headers={**_API_VERSION, **headers})
    del response["Content-Type"]
    return response


def error_response(error: ProtocolError) -> HttpResponse:
    """The response of an error."""
    content = protocol_errors.registry_content(error.code, error.message, error.detail)
    return json_response(content, error.status, headers={"Cache-Control": "no-store", **error.headers})


def registry_api(*methods: str) -> Callable[[_View[P]], _View[P]]:
    """Decorate a view of the registry's API: other methods are a 405, and every error has the protocol's body."""

    def decorate(view: _View[P]) -> _View[P]:
        @csrf_exempt
        @functools.wraps(view)
        def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            try:
                if request.method not in methods:
                    raise ProtocolError(
                        HTTPStatus.METHOD_NOT_ALLOWED,
                        "UNSUPPORTED",
                        f"Use {' or '.join(methods)}.",
                        headers={"Allow": ", ".join(methods)},
                    )
                return view(request, *args, **kwargs)
            except Exception as error:
                return error_response(as_protocol_error(error))

        return answer

    return decorate


def as_protocol_error(error: Exception) -> ProtocolError:
    """The response for any exception of a view; unforeseen ones are logged with their traceback."""
    if isinstance(error, ProtocolError):
        return error
    if isinstance(error, InvalidName):
        return ProtocolError(HTTPStatus.BAD_REQUEST, "NAME_INVALID", error.message)
    if isinstance(error, RegistryError):
        return _of_registry(error)
    if isinstance(error, UnreadablePostError):
        return ProtocolError(HTTPStatus.BAD_REQUEST, "SIZE_INVALID", "The request ended before its body was complete.")
    if isinstance(error, BadRequest | SuspiciousOperation):
        return ProtocolError(HTTPStatus.BAD_REQUEST, "UNSUPPORTED", "The request cannot be understood.")
    if isinstance(error, OperationalError | InterfaceError):
        log.error("gate: the database cannot be reached (%s)", type(error).__name__)
        return unavailable(_NO_DATABASE)
    if isinstance(error, DatabaseError) and error.__cause__ is not None:
        log.error("gate: the database refuses a statement", exc_info=error)
    else:
        log.error("gate: unforeseen error", exc_info=error)
    return ProtocolError(HTTPStatus.INTERNAL_SERVER_ERROR, "UNKNOWN", _BROKEN)


def _of_registry(error: RegistryError) -> ProtocolError:
    """The registry's answer to the gate's own call, passed on."""
    if isinstance(error, Unauthorized | Denied):
        log.error("gate: the registry refuses the console's token: %s", error)
        return unavailable(_NO_REGISTRY)
    if isinstance(error, Unsupported):
        log.warning("gate: %s", error)
        return ProtocolError(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", _READ_ONLY)
    if isinstance(error, ManifestBlobUnknown):
        return ProtocolError(
            HTTPStatus.NOT_FOUND if error.status == HTTPStatus.NOT_FOUND else HTTPStatus.BAD_REQUEST,
            "MANIFEST_BLOB_UNKNOWN",
            f"The repository does not have {_named(error)}, which the manifest names. Push it first.",
            detail=error.detail,
        )
    if isinstance(error, DigestMismatch):
        return ProtocolError(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", error.message, detail=error.detail)
    client_error = error.status is not None and 400 <= error.status < 500 and error.code
    if client_error and (isinstance(error, NotFound) or error.status == HTTPStatus.BAD_REQUEST):
        return ProtocolError(error.status or 400, error.code, error.message, detail=error.detail)
    log.warning("gate: %s", error)
    return unavailable(_NO_REGISTRY)


def _named(error: RegistryError) -> str:
    """The digest in the detail of ``MANIFEST_BLOB_UNKNOWN``."""
    detail = error.detail.get("digest") if isinstance(error.detail, dict) else error.detail
    return detail[:140] if isinstance(detail, str) and detail else "a blob"
