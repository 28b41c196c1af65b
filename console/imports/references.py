"""Parse image references of other registries, as used with ``docker pull``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from registry_client import DIGEST_PATTERN, REPOSITORY_MAX_LENGTH, REPOSITORY_PATTERN, TAG_PATTERN

DOCKER_HUB = "registry-1.docker.io"
_DOCKER_HUB_NAMES = {"docker.io", "index.docker.io", "registry-1.docker.io"}
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]{{2,45}}\])(?::(?P<port>[0-9]{{1,5}}))?"
_REFERENCE = re.compile(
    rf"(?:(?P<scheme>https?)://)?(?:(?P<address>{_HOST})/)?(?P<repository>{REPOSITORY_PATTERN})"
    rf"(?::(?P<tag>{TAG_PATTERN}))?(?:@(?P<digest>{DIGEST_PATTERN}))?"
)
_LONGEST_HOST = 253
# Characters: the longest scheme, host, port, repository, tag and digest together have a few less.
LONGEST = 800


@dataclass(frozen=True)
class Reference:
    """An image on a registry: its scheme, host with port, repository, and tag or digest.

    ``tag`` is the given tag, also beside a digest; empty if there is only a digest.
    """

    scheme: str
    host: str
    port: int | None
    repository: str
    reference: str
    tag: str = ""

    @property
    def url(self) -> str:
        """The registry's URL."""
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def parse(text: str) -> Reference:
    """Parse ``text`` by Docker's rules: the default registry is Docker Hub, the default tag ``latest``.

    It may begin with ``https://``, or ``http://`` for a registry without TLS.

    :raises ValueError: when it is not an image reference.
    """
    match = _REFERENCE.fullmatch(text.strip()) if len(text) <= LONGEST else None
    if match is None:
        raise ValueError("not the name of an image")
    host, port, repository = match["host"], match["port"], match["repository"]
    # "team/app" is on Docker Hub; "localhost/app" and "team.example/app" begin with a host name.
    if host and not (port or match["scheme"] or "." in host or host[0] == "[" or host == "localhost"):
        host, repository = None, f"{host}/{repository}"
    first = repository.partition("/")[0]
    if host is None and (match["scheme"] or ("/" in repository and "." in first)):
        raise ValueError("the name of a registry is missing, or is none")
    if host is None or host.lower() in _DOCKER_HUB_NAMES:
        host, port = DOCKER_HUB, None
        repository = repository if "/" in repository else f"library/{repository}"
    number = int(port) if port else None
    if len(host) > _LONGEST_HOST or len(repository) > REPOSITORY_MAX_LENGTH or number == 0 or (number or 1) > 65535:
        raise ValueError("not the name of an image")
    if not re.fullmatch(REPOSITORY_PATTERN, repository):
        raise ValueError("not the name of an image")
    if host[0] == "[" and not _is_ipv6(host[1:-1]):
        raise ValueError("not the name of an image")
    reference = match["digest"] or match["tag"] or "latest"
    tag = match["tag"] or ("" if match["digest"] else "latest")
    return Reference(match["scheme"] or "https", host.lower(), number, repository, reference, tag)
