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

# Timeout without a piece of data: a registry that sends single bytes would block a thread of the worker for ever.
_LONGEST_SILENCE = 300.0


@dataclass(frozen=True)
class Source:
    """A registry to copy from. Call ``came`` after each received piece (heartbeat of the timeout)."""

    client: RegistryClient
    came: Callable[[], None] = lambda: None


def guard() -> AddressGuard:
    """Address guard against SSRF: imports may connect to public addresses, and to allowed hosts."""
    return AddressGuard(settings.ALLOWED_IMPORT_HOSTS)


@contextmanager
def source_of(transfer: Transfer) -> Iterator[Source]:
    """Connect to the source registry of ``transfer``.

    Docker Hub's official images come from our own cache. Other registries are called through the address guard, and so
    are their token servers and redirects.

    :raises console.imports.credentials.Expired: when its credentials have expired.
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
    """Watchdog: closes the connections if nothing is received for too long; yields the heartbeat function."""
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
