"""Which token servers may be sent the credentials that were given for a registry.

A registry names its token server itself (``realm`` of its challenge). Believed without a question, a registry that is
hostile or was broken into has its callers send their passwords to anybody (CVE-2020-15157, CVE-2026-33540).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from registry_client.errors import RefusedTokenServer

# Docker Hub's registry and its token server are siblings, as any two customers of one hosting company may be.
_KNOWN = {("registry-1.docker.io", "auth.docker.io")}


def check_realm(registry: str, realm: str, *, credentials: bool, trusted: Collection[tuple[str, str]] = ()) -> None:
    """Refuse a token server that does not belong to the registry.

    It belongs to it when it has the same host name (on whatever port), or one that is above or below it in the name
    system, where one owner decides about both, or when both are this machine.

    :param registry: the registry's address; empty when it is not known, which is for callers without credentials alone.
    :param realm: the token server's address, out of the registry's challenge.
    :param credentials: whether it is to be sent any.
    :param trusted: further pairs of a registry's and a token server's host name that somebody has allowed.
    :raises RefusedTokenServer: for one that does not, and for one without TLS of a registry with TLS.
    """
    ours, theirs = urlsplit(registry), urlsplit(realm)
    host = _name(theirs.hostname)
    if ours.scheme == "https" and theirs.scheme != "https":
        raise RefusedTokenServer("the registry has TLS and its token server has none", host=host, without_tls=True)
    pair = (_name(ours.hostname), host)
    if credentials and not (_related(*pair) or pair in _KNOWN or pair in trusted):
        raise RefusedTokenServer(f"the token server {host} is not the registry's own", host=host)


def _related(registry: str, realm: str) -> bool:
    if registry == realm:
        return bool(registry)
    if _is_loopback(registry) and _is_loopback(realm):
        return True  # both are this machine, whichever of its names each goes by
    if _is_address(registry) or _is_address(realm):
        return False
    # A name without a dot may be the whole of "com".
    above = realm if len(realm) < len(registry) else registry
    return "." in above and (registry.endswith(f".{realm}") or realm.endswith(f".{registry}"))


def _name(host: str | None) -> str:
    return (host or "").rstrip(".").lower()


def _is_loopback(host: str) -> bool:
    """Whether a host is this machine itself (RFC 6761, section 6.3: "localhost" is never another one)."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
