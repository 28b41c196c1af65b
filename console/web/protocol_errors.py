"""Error bodies of the registry's protocol.

Pure functions without Django: the edge's configuration has them for requests that never reach the application.
"""

from __future__ import annotations

from typing import Any

# The addresses of the token endpoint and of the registry's notifications; a test compares them with the URL patterns.
TOKEN, NOTIFICATIONS = "/token/", "/indexing/notifications/"
ADDRESSES = frozenset({TOKEN, NOTIFICATIONS})
# Below this is the registry's own API, of which the gate answers a part (``console.gate``).
REGISTRY_API = "/v2/"


def speaks_protocol(path: str) -> bool:
    """Whether the address at ``path`` is for registry clients, and answers errors as they expect them."""
    return path in ADDRESSES or path.startswith(REGISTRY_API)


def content(code: str, message: str, oauth_error: str = "invalid_request") -> dict[str, Any]:
    """The JSON body of an error response of the token endpoint.

    It has the registry's error list (Distribution specification, "Errors") and the OAuth2 fields (RFC 6749, 5.2):
    each client reads the ones that it knows.

    :param code: an error code of the Distribution specification.
    :param message: one sentence for the person who runs the client.
    :param oauth_error: an error code of RFC 6749.
    """
    return {
        "errors": [{"code": code, "message": message, "detail": None}],
        "error": oauth_error,
        "error_description": message,
    }


def registry_content(code: str, message: str, detail: Any = None) -> dict[str, Any]:
    """The JSON body of an error response of the registry's API (OCI distribution specification, "Error Codes").

    :param code: an error code of the specification.
    :param message: one sentence for the person who runs the client.
    :param detail: unstructured, for clients that know the code.
    """
    return {"errors": [{"code": code, "message": message, "detail": detail}]}
