"""``SITE``: the one https address of everything, and where its certificate comes from."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from console.installation.variables import Variables

# Let's Encrypt, with the address in its documentation.
ACME_DIRECTORY = "https://acme-v02.api.letsencrypt.org/directory"
HTTPS_PORT, HTTP_PORT, PROXIED_PORT = 443, 80, 8080
ACME, FILES, INTERNAL, PROXY = "acme", "files", "internal", "proxy"


@dataclass(frozen=True)
class Site:
    """The address at which the edge serves pages, registry, token endpoint and cache with TLS.

    :ivar address: as in ``SITE``, without a trailing slash.
    :ivar tls: where the certificate is from: ``ACME``, ``FILES`` (``certificate`` and ``key``) or ``INTERNAL`` (an
        authority of this installation's own); or ``PROXY``: somebody else's proxy in front has it.
    :ivar http_port: the port where plain HTTP is redirected to ``address``; 0 for none. With ``PROXY``, the port that
        the proxy passes requests on to.
    """

    address: str
    host: str
    port: int
    tls: str
    certificate: Path | None
    key: Path | None = field(repr=False)
    acme_email: str
    acme_directory: str
    http_port: int

    @property
    def netloc(self) -> str:
        """Host and port, as in an image reference: without the port if it is 443."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == HTTPS_PORT else f"{host}:{self.port}"


def read(variables: Variables) -> Site | None:
    """The site, ``None`` without ``SITE``. Problems are added to ``variables``."""
    address = variables.origin("SITE")
    certificate, key = variables.file("TLS_CERTIFICATE"), variables.file("TLS_KEY")
    tls = variables.choice("TLS", FILES if certificate or key else ACME, (ACME, FILES, INTERNAL, PROXY))
    email, directory = variables.text("ACME_EMAIL"), variables.url("ACME_DIRECTORY", ACME_DIRECTORY)
    parts = urlsplit(address)
    port = parts.port or HTTPS_PORT
    # With another port, somebody else may have the usual one for plain HTTP.
    usual = PROXIED_PORT if tls == PROXY else HTTP_PORT if port == HTTPS_PORT else 0
    http_port = variables.port("HTTP_PORT", usual, none=True)
    if not address:
        for name in ("TLS", "TLS_CERTIFICATE", "TLS_KEY"):
            if variables.text(name):
                variables.problems.append(
                    f"{name} is set, but SITE is not. Set SITE to the site's address, such as "
                    f"https://images.example.com, or remove {name}."
                )
        return None
    found = Site(address, parts.hostname or "", port, tls, certificate, key, email, directory, http_port)
    variables.problems += _contradictions(found, variables)
    return found


def _contradictions(site: Site, variables: Variables) -> Iterator[str]:
    if site.tls == FILES and not (variables.text("TLS_CERTIFICATE") and variables.text("TLS_KEY")):
        yield "TLS_CERTIFICATE and TLS_KEY are needed together: the certificate with its chain, and its key."
    if site.tls != FILES and (site.certificate or site.key):
        yield f"TLS is {site.tls!r}, but TLS_CERTIFICATE or TLS_KEY is set; keep one of both."
    if site.tls == ACME and not _is_public_name(site.host):
        yield (
            f"No certificate can be had by ACME for {site.host!r}; "
            "set TLS=internal, or TLS_CERTIFICATE and TLS_KEY, or use the name of a host."
        )
    elif site.tls == ACME and site.port != HTTPS_PORT and site.http_port != HTTP_PORT:
        yield (
            f"ACME cannot issue a certificate for port {site.port}: the authority checks the name at port 443 or 80. "
            "Set HTTP_PORT=80, TLS=internal, or TLS_CERTIFICATE and TLS_KEY."
        )
    if site.tls == PROXY and not site.http_port:
        yield "TLS=proxy needs HTTP_PORT, the port that the proxy passes requests on to."
    if site.port == site.http_port and site.tls != PROXY:
        yield f"SITE and HTTP_PORT have the same port, {site.port}; set HTTP_PORT to another."
    given = variables.text("CONSOLE_URL").rstrip("/")
    if given and given != site.address:
        yield f"SITE is {site.address} and CONSOLE_URL is another address; leave CONSOLE_URL out."


def _is_public_name(host: str) -> bool:
    """Whether a certificate authority could confirm the name: no IP address, and nothing that is local."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".local"))
    return False
