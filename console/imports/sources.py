"""Clients of the registries that images are imported from."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings

from console.imports import credentials
from console.imports.models import Transfer
from console.registry import connection
from registry_client import AddressGuard, Challenged, Connections, RegistryClient

# A registry that sends a byte now and then would keep a worker's place for ever: what brings less than a piece in so
# many seconds is broken off.
_LONGEST_SILENCE = 300.0


@dataclass(frozen=True)
class Source:
    """A registry to copy from. ``came`` is to be called with each piece that has come."""

    client: RegistryClient
    came: Callable[[], None] = lambda: None


def guard() -> AddressGuard:
    """Where imports may go: to public addresses, and to the hosts that the administrator allows."""
    return AddressGuard(settings.ALLOWED_IMPORT_HOSTS)


@contextmanager
def source_of(transfer: Transfer) -> Iterator[Source]:
    """The registry that ``transfer`` copies from.

    Docker Hub's official images come from the cache, which is ours. Anybody else's registry is called through the
    guard, its token server and the addresses that it redirects to as well.

    :raises console.imports.credentials.Expired: when the credentials for it are not kept any longer.
    """
    if not transfer.source:
        yield Source(connection.hub())
        return
    username, password = credentials.of(transfer) or (None, None)
    connections = Connections(guard=guard())
    authentication = Challenged(
        username,
        password,
        trusted_realms=settings.IMPORT_TOKEN_SERVERS,
        connections=connections,
    )
    with (
        RegistryClient(transfer.source, authentication, connections=connections) as client,
        _watched(connections) as came,
    ):
        yield Source(client, came)


@contextmanager
def _watched(connections: Connections) -> Iterator[Callable[[], None]]:
    """Break off what brings nothing for too long; gives what is to be called when something has come."""
    last, ended = time.monotonic(), threading.Event()

    def came() -> None:
        nonlocal last
        last = time.monotonic()

    def watch() -> None:
        while not ended.wait(_LONGEST_SILENCE / 20):
            if time.monotonic() - max(last, connections.asked_at) > _LONGEST_SILENCE:
                connections.interrupt()

    watcher = threading.Thread(target=watch, name="watch", daemon=True)
    watcher.start()
    try:
        yield came
    finally:
        ended.set()
        watcher.join()
