"""Health check of a registry."""

from __future__ import annotations

from registry_client.transport import Transport


def ping(transport: Transport) -> None:
    """GET ``/v2/`` (Distribution specification, "API Version Check")."""
    answer = transport.call("GET", "/v2/")
    if answer.media_type in {"text/html", "application/xhtml+xml"}:
        raise answer.unexpected("the answer is a web page, not a registry's")
