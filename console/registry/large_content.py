"""Semaphore for large manifests and configurations: each process holds one at a time.

What is small is held as it comes. Whatever is larger waits for its turn, so that several jobs at once take no more
memory than one. The holder calls the registry for the configuration alone meanwhile, and stores what it read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from console.registry.connection import registry
from registry_client import AnswerTooLarge, Descriptor, Manifest
from registry_client.transport import MANIFEST_LIMIT

T = TypeVar("T")

# Bytes. Hundreds of layers fit in.
SMALL_BYTES = 128 << 10

_turn = threading.RLock()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait for the turn to hold something large.

    Not to be called where a lock of the database is held: the holder of the turn may wait for that lock.
    """
    with _turn:
        yield


@contextmanager
def manifest_held(repository: str, reference: str) -> Iterator[Manifest]:
    """The manifest of a tag or a digest, to be let go of with the block.

    :raises registry_client.RegistryError: when it cannot be had.
    """
    with _held(lambda limit: registry().manifest(repository, reference, limit=limit)) as found:
        yield found


@contextmanager
def content_held(repository: str, digest: str, media_type: str = "") -> Iterator[Manifest | Descriptor | None]:
    """What a repository holds under a digest (``RegistryClient.content_of``), to be let go of with the block.

    :raises registry_client.RegistryError: when it cannot be had.
    """
    with _held(lambda limit: registry().content_of(repository, digest, media_type, limit=limit)) as found:
        yield found


@contextmanager
def _held(read: Callable[[int], T]) -> Iterator[T]:
    try:
        small = read(SMALL_BYTES)
    except AnswerTooLarge:
        pass
    else:
        yield small
        return
    with _turn:
        yield read(MANIFEST_LIMIT)
