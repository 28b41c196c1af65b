"""Calling addresses that somebody typed: only public ones, and exactly the ones that were looked at.

Whoever may name a registry could otherwise make this machine call what only it can reach: its own services, its
neighbours, a cloud's metadata. So the guard stands where a connection is made. It resolves the name, refuses the call
unless every address is a public one, and connects to an address that it has just looked at. Redirects, token servers
and names that resolve differently the second time pass through the same place.
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
    """Says where a connection may go.

    :param allowed: hosts that an administrator allows wherever they are, each ``host`` (any port) or ``host:port``.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = {entry.strip().lower() for entry in allowed if entry.strip()}

    def allows(self, host: str, port: int) -> bool:
        """Whether an administrator allows this host by name."""
        host = host.strip("[]").rstrip(".").lower()
        names = (host, f"[{host}]")
        return any(name in self._allowed or f"{name}:{port}" in self._allowed for name in names)

    def check_name(self, scheme: str, host: str, port: int | None) -> None:
        """Refuse what needs no look at the network to be refused. Nothing is resolved.

        :raises RefusedAddress: for a port that registries do not have, HTTP without TLS, or an address of no public
            network, unless the host is allowed.
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
        """The addresses that a connection to ``host`` may be made to, resolved now.

        :raises RefusedAddress: when one of them is not public, or the port is a system's, unless the host is allowed.
        :raises OSError: when the name cannot be resolved.
        """
        found = list(dict.fromkeys(str(entry[4][0]) for entry in _resolve(host, port)))
        if self.allows(host, port):
            return found
        self._check_port(host, port)
        # One that is not public among others that are is what an attack looks like.
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
    """An adapter of ``requests`` whose connections all go where the guard says, and never through a proxy."""

    def __init__(self, guard: AddressGuard, **options: Any) -> None:
        self._opened: WeakSet[socket.socket] = WeakSet()
        self._pools = _pools(guard, self._opened)
        super().__init__(**options)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make the pools with connections of our own."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def interrupt(self) -> None:
        """End all connections; whoever waits for one reads that it broke."""
        for opened in list(self._opened):
            with suppress(OSError):
                # Of one with TLS the connection below it: nobody waits for the other side to say goodbye.
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
