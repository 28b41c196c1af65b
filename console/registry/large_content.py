"""Semaphore for large manifests and configurations: each process holds one at a time.

Small content is not limited. Larger content is read under the semaphore, so that several concurrent jobs take no more
memory than one. The holder only reads configurations from the registry meanwhile, and stores what it read.
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

# Bytes: enough for hundreds of layers.
SMALL_BYTES = 128 << 10

_semaphore = threading.RLock()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Acquire the semaphore; reentrant in one thread.

    Never call it while holding a database lock, for which the holder of the semaphore may wait: a deadlock.
    """
    with _semaphore:
        yield


@contextmanager
def manifest_held(repository: str, reference: str) -> Iterator[Manifest]:
    """Read the manifest of a tag or a digest, to be released when the block ends.

    :raises registry_client.RegistryError: when it cannot be read.
    """
    with _held(lambda limit: registry().manifest(repository, reference, limit=limit)) as found:
        yield found


@contextmanager
def content_held(repository: str, digest: str, media_type: str = "") -> Iterator[Manifest | Descriptor | None]:
    """Read what a repository has under a digest (``RegistryClient.content_of``), to be released when the block ends.

    :raises registry_client.RegistryError: when it cannot be read.
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
    with _semaphore:
        yield read(MANIFEST_LIMIT)
