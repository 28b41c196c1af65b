"""The site behind somebody else's proxy, which has the certificate (``TLS=proxy``): the edge's routes for its port."""

from __future__ import annotations

import ipaddress
from typing import Any

from console.installation.environment import Environment
from console.local import edge_errors

_HEALTH = "/healthz"


def host(environment: Environment) -> str:
    """The address to listen on: where only this machine is trusted, its own; otherwise empty, for all."""
    inside = all(ipaddress.ip_network(one).is_loopback for one in environment.trusted_proxies)
    return "127.0.0.1" if inside else ""


def routes(environment: Environment, redirect: dict[str, Any]) -> list[dict[str, Any]]:
    """The routes before those of the site: only what a trusted proxy got by TLS goes on to them.

    :param redirect: the handler that redirects plain HTTP to the site's address.
    """
    trusted = {"remote_ip": {"ranges": environment.trusted_proxies}}
    return [
        {"match": [_unless(trusted)], **_refuse(edge_errors.STRANGER)},
        {"match": [_unless(_proto("*"))], **_refuse(edge_errors.NO_PROTO)},
        {"match": [_unless(_proto("https"))], "handle": [redirect], "terminal": True},
    ]


def _unless(condition: dict[str, Any]) -> dict[str, Any]:
    """Everything else; not the health check, which load balancers and Kubernetes ask for directly and without TLS."""
    return {"not": [{"path": [_HEALTH]}, condition]}


def _proto(value: str) -> dict[str, Any]:
    return {"header": {"X-Forwarded-Proto": [value]}}


def _refuse(status: int) -> dict[str, Any]:
    return {"handle": [{"handler": "error", "status_code": str(status)}], "terminal": True}
