"""The edge's own error responses: JSON for clients, a page, or text (Caddy, "http.servers.errors")."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from console.local import edge_static
from console.web import policies, protocol_errors

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


# Where the page leads: an empty ``href`` is the same address, requested with GET.
_AGAIN, _HOME = '<a href="">Try again</a>', '<a href="/">My Images</a>'


def _texts(problem: tuple[int, str, str]) -> list[str]:
    return [*(str(part) for part in problem), _AGAIN if problem[0] in {500, 503} else _HOME]


_BY_ACCEPT = {"Vary": "Accept"}

# Some values of static/css/tokens.css: the page is shown when nothing else can be had.
_STYLE = """
:root { color-scheme: light dark }
body { margin: 48px auto; max-width: 40rem; padding: 0 24px; background: light-dark(#f5f6f8, #0f131a);
  color: light-dark(#18202e, #e8ecf3); font: 15px/1.45 system-ui, sans-serif }
h1 { font-size: 20px }
a { color: light-dark(#1a55bc, #8db6ff) }
"""
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>My Images</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>My Images</h1>
<p>{{edge.sentence}}</p>
<p>{{edge.link}}</p>
</main>
</body>
</html>
"""


def _answer(kind: str, body: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A handler that answers an error.

    :param headers: further ones.
    """
    named = {**(headers or {}), "Content-Type": kind, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return {
        "handler": "static_response",
        "status_code": "{edge.status}",
        # Which program answers is not said.
        "headers": {"Server": [], **{name: [value] for name, value in named.items()}},
        "body": body,
    }


def _page() -> dict[str, Any]:
    """The answer for a browser, which runs and loads nothing; its style sheet is allowed by its hash (CSP 3, 2.3.1)."""
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = {
        "default-src": ["'none'"],
        "style-src": [f"'sha256-{style}'"],
        **{directive: ["'none'"] for directive in ("base-uri", "form-action", "frame-ancestors")},
    }
    headers = {**edge_static.HEADERS, "Content-Security-Policy": policies.format_csp(policy), **_BY_ACCEPT}
    return _answer("text/html; charset=utf-8", _PAGE, headers)


# Whether a path has the protocol's errors is decided by the path alone, as the client wrote it.
ROUTES = [
    {
        "handle": [
            {
                "handler": "map",
                "source": "{http.error.status_code} {http.error.message}",
                "destinations": ["{edge.status}", "{edge.code}", "{edge.sentence}", "{edge.link}"],
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
    {
        "match": [{"header_regexp": {"Accept": {"pattern": r"(?i)\btext/html\b"}}}],
        "handle": [_page()],
        "terminal": True,
    },
    {"handle": [_answer("text/plain; charset=utf-8", "{edge.sentence}\n", _BY_ACCEPT)]},
]
