"""The edge's routes for static files: no request for one reaches Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from console.web import policies

# A name with the hash of its content, which never changes (``console.web.static``). Pages use no others, and the
# console answers 404 for those.
NAME = r"^/static/(.+\.[0-9a-f]{12}\.[a-z0-9]+)$"
_SECONDS = 10 * 365 * 24 * 3600
# As the console's middleware sets them for all of its answers.
HEADERS = {
    "Cache-Control": f"max-age={_SECONDS}, public, immutable",
    "Content-Security-Policy": policies.format_csp(policies.CONTENT_SECURITY),
    "Permissions-Policy": policies.format_permissions(policies.PERMISSIONS),
    "Referrer-Policy": policies.REFERRER,
    "Cross-Origin-Opener-Policy": policies.CROSS_ORIGIN_OPENER,
    "Cross-Origin-Resource-Policy": policies.CROSS_ORIGIN_RESOURCE,
    "X-Content-Type-Options": "nosniff",
}


def route(folder: Path) -> dict[str, Any]:
    """The route of the files in ``folder``, each in the shortest form that the browser accepts.

    A name that is not there is left to the routes after it.
    """
    name = "/{http.regexp.static.1}"
    serve = [
        {"handler": "rewrite", "uri": name},
        {"handler": "headers", "response": {"set": {header: [value] for header, value in HEADERS.items()}}},
        {
            "handler": "file_server",
            "root": str(folder),
            "index_names": [],
            "precompressed": {"br": {}, "gzip": {}},
            "precompressed_order": ["br", "gzip"],
        },
    ]
    found = {"match": [{"file": {"root": str(folder), "try_files": [name]}}], "handle": serve, "terminal": True}
    return {
        "match": [{"method": ["GET", "HEAD"], "path_regexp": {"name": "static", "pattern": NAME}}],
        "handle": [{"handler": "subroute", "routes": [found]}],
    }
