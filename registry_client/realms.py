"""Check that a token server (realm) belongs to the registry before it gets the registry's credentials.

A registry names its token server itself (``realm`` of its challenge). Without a check, a malicious or compromised
registry could have its clients send their passwords to any server (CVE-2020-15157, CVE-2026-33540).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from registry_client.errors import RefusedTokenServer

# Docker Hub's registry and token server are sibling domains, which are not trusted in general.
_KNOWN = {("registry-1.docker.io", "auth.docker.io")}


def check_realm(registry: str, realm: str, *, credentials: bool, trusted: Collection[tuple[str, str]] = ()) -> None:
    """Refuse a token server that does not belong to the registry.

    It belongs to it if it has the same host name (on any port), a parent or child domain (which have the same owner),
    or if both are this machine.

    :param registry: the registry's URL; empty if not known, which is only allowed without credentials.
    :param realm: the token server's URL in the registry's challenge.
    :param credentials: whether credentials would be sent.
    :param trusted: further allowed pairs of a registry's and a token server's host name.
    :raises RefusedTokenServer: if it does not belong to it, or has no TLS although the registry has.
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
        return True  # both are this machine, by whatever name
    if _is_address(registry) or _is_address(realm):
        return False
    # A name without a dot may be a top-level domain.
    above = realm if len(realm) < len(registry) else registry
    return "." in above and (registry.endswith(f".{realm}") or realm.endswith(f".{registry}"))


def _name(host: str | None) -> str:
    return (host or "").rstrip(".").lower()


def _is_loopback(host: str) -> bool:
    """Whether a host is this machine (RFC 6761, section 6.3: "localhost" is always the local machine)."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
