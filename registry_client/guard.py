"""SSRF guard: connections to user-supplied hosts only go to public addresses, and to the addresses that were checked.

Otherwise a user who names a registry could make this machine call its own services, the internal network, or a cloud's
metadata service. The guard works where a connection is made: it resolves the name, refuses the call unless all
addresses are public, and connects to one of the checked addresses. This also covers redirects, token servers and DNS
rebinding.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import create_connection

from registry_client.errors import RefusedAddress
from registry_client.public_addresses import is_public

_DEFAULT_PORTS = {"http": 80, "https": 443}
_FIRST_FREE_PORT = 1024


class AddressGuard:
    """Restricts the target addresses of connections.

    :param allowed: hosts that an administrator allows at any address, each ``host`` (any port) or ``host:port``.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = {entry.strip().lower() for entry in allowed if entry.strip()}

    def allows(self, host: str, port: int) -> bool:
        """Whether an administrator allows this host by name."""
        host = host.strip("[]").rstrip(".").lower()
        names = (host, f"[{host}]")
        return any(name in self._allowed or f"{name}:{port}" in self._allowed for name in names)

    def check_name(self, scheme: str, host: str, port: int | None) -> None:
        """Check a URL without resolving the name.

        :raises RefusedAddress: for a port that is not used by registries, HTTP without TLS, or an address that is not
            public, unless the host is allowed.
        """
        port = port or _DEFAULT_PORTS[scheme]
        if self.allows(host, port):
            return
        if scheme != "https":
            raise RefusedAddress(f"{host} may not be called without TLS")
        self._check_port(host, port)
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return
        if not is_public(host.strip("[]")):
            raise RefusedAddress(f"{host} is not a public address")

    def addresses(self, host: str, port: int) -> list[str]:
        """Resolve ``host`` now to the addresses that a connection may use.

        :raises RefusedAddress: when one of them is not public, or the port is not allowed, unless the host is allowed.
        :raises OSError: when the name cannot be resolved.
        """
        found = list(dict.fromkeys(str(entry[4][0]) for entry in _resolve(host, port)))
        if self.allows(host, port):
            return found
        self._check_port(host, port)
        # All must be public: a mixture is typical for an attack.
        if not found or not all(is_public(address) for address in found):
            raise RefusedAddress(f"{host} is not at a public address")
        return found

    def _check_port(self, host: str, port: int) -> None:
        if port not in _DEFAULT_PORTS.values() and port < _FIRST_FREE_PORT:
            raise RefusedAddress(f"{host} may not be called at port {port}")


def _resolve(host: str, port: int) -> list[Any]:
    try:
        return socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{host!r} is no host's name") from error


class GuardedAdapter(HTTPAdapter):
    """An adapter of ``requests`` whose connections use the guard, and never a proxy."""

    def __init__(self, guard: AddressGuard, **options: Any) -> None:
        self._opened: WeakSet[socket.socket] = WeakSet()
        self._pools = _pools(guard, self._opened)
        super().__init__(**options)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Create the pools with guarded connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def interrupt(self) -> None:
        """Close all connections; waiting readers get an error."""
        for opened in list(self._opened):
            with suppress(OSError):
                # With TLS the underlying socket, so that it does not wait for the TLS shutdown.
                socket.socket.shutdown(opened, socket.SHUT_RDWR)


def _pools(guard: AddressGuard, opened: WeakSet[socket.socket]) -> dict[str, type[HTTPConnectionPool]]:
    def connect(connection: HTTPConnection) -> socket.socket:
        host, port = connection._dns_host, int(connection.port)
        try:
            addresses = guard.addresses(host, port)
        except OSError as error:
            raise NewConnectionError(connection, f"{host} cannot be resolved") from error
        problem: OSError | None = None
        for address in addresses:
            try:
                return create_connection(
                    (address, port),
                    connection.timeout,
                    source_address=connection.source_address,
                    socket_options=connection.socket_options,
                )
            except OSError as error:
                problem = error
        if isinstance(problem, TimeoutError):
            raise ConnectTimeoutError(connection, f"{host} did not accept a connection") from problem
        raise NewConnectionError(connection, f"{host} cannot be reached") from problem

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            guard.check_name("http", self._dns_host, int(self.port))
            return connect(self)

        def connect(self) -> None:
            super().connect()
            opened.add(self.sock)

    class Secured(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

        def connect(self) -> None:
            super().connect()
            opened.add(self.sock)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecuredPool(HTTPSConnectionPool):
        ConnectionCls = Secured

    return {"http": PlainPool, "https": SecuredPool}
