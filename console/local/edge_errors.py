"""The edge's own error responses: JSON for programs, a sentence for people (Caddy, "http.servers.errors")."""

from __future__ import annotations

import json
from typing import Any

from console.web import protocol_errors

# Status, error code of the registry's protocol, and sentence, by what the error's status and message begin with.
# Everything else means that a service is not there.
_MALFORMED = (400, "UNSUPPORTED", "The body of the request cannot be read: its chunks are malformed.")
STRANGER, NO_PROTO = 403, 421  # behind a proxy (``console.local.edge_proxied``)
_PROBLEMS = (
    (400, "UNSUPPORTED", "The request cannot be read: it is not valid HTTP/1.1."),
    (STRANGER, "DENIED", "This port is for the proxy in front of My Images: TRUSTED_PROXIES must have its address."),
    (404, "UNSUPPORTED", "There is nothing at this address."),
    (413, "UNSUPPORTED", "The request is too large."),
    (414, "UNSUPPORTED", "The address of the request is too long. Ask for less at once."),
    (417, "UNSUPPORTED", "The only expectation that can be met is 100-continue."),
    (NO_PROTO, "UNSUPPORTED", "The proxy in front of My Images must set X-Forwarded-Proto, and does not."),
    (431, "UNSUPPORTED", "The header of the request is too long."),
    (500, "UNKNOWN", "My Images failed to answer. Ask an administrator to check the log."),
    (501, "UNSUPPORTED", "The only transfer coding that can be read is chunked."),
)
_AWAY = (503, "UNAVAILABLE", "My Images does not answer at the moment. Try again in some seconds.")


def _texts(problem: tuple[int, str, str]) -> list[str]:
    return [str(part) for part in problem]


def _answer(kind: str, body: str) -> dict[str, Any]:
    """A handler that answers an error."""
    headers = {"Content-Type": [kind], "Cache-Control": ["no-store"], "X-Content-Type-Options": ["nosniff"]}
    # Which program answers is not said.
    headers["Server"] = []
    return {"handler": "static_response", "status_code": "{edge.status}", "headers": headers, "body": body}


# Whether a path has the protocol's errors is decided by the path alone, as the client wrote it.
ROUTES = [
    {
        "handle": [
            {
                "handler": "map",
                "source": "{http.error.status_code} {http.error.message}",
                "destinations": ["{edge.status}", "{edge.code}", "{edge.sentence}"],
                "mappings": [
                    {
                        "input_regexp": "^502 .*(?:chunk|invalid trailer|EOF in trailers|line too long)",
                        "outputs": _texts(_MALFORMED),
                    },
                    *({"input_regexp": f"^{one[0]} ", "outputs": _texts(one)} for one in _PROBLEMS),
                ],
                "defaults": _texts(_AWAY),
            }
        ]
    },
    {
        "match": [{"path": [*sorted(protocol_errors.ADDRESSES), "/v2", "/v2/*"]}],
        "handle": [_answer("application/json", json.dumps(protocol_errors.content("{edge.code}", "{edge.sentence}")))],
        "terminal": True,
    },
    {"handle": [_answer("text/plain; charset=utf-8", "{edge.sentence}\n")]},
]
