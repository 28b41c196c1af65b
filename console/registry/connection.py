"""Clients for the registries: one for each process, and concurrent calls."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import islice, takewhile
from typing import TypeVar

from django.conf import settings

from console.registry.signing import console_token
from registry_client import NameUnknown, RegistryClient, RegistryError, SignedTokens

T = TypeVar("T")
R = TypeVar("R")
# Concurrent calls of one thread: a few are faster than one after another, more only queue up.
_AT_ONCE = 4
# Calls that are submitted at a time: a waiting call takes a kilobyte.
_SUBMITTED = 200
# Repositories per page of the catalogue: every registry allows so many.
_PAGE = 100
_CATALOG_SECONDS = 20
_QUICK_SECONDS = 5


@functools.cache
def _client(url: str, service: str, process: int) -> RegistryClient:
    return RegistryClient(url, SignedTokens(functools.partial(console_token, service=service)))


def registry() -> RegistryClient:
    """The client for the installation's registry: one for each process, with persistent connections."""
    return _client(settings.CONSOLE_REGISTRY_URL, settings.CONSOLE_REGISTRY_SERVICE, os.getpid())


@functools.cache
def _quick_client(url: str, service: str, process: int) -> RegistryClient:
    tokens = SignedTokens(functools.partial(console_token, service=service))
    return RegistryClient(url, tokens, read_timeout=_QUICK_SECONDS, retries=0)


def quick_registry() -> RegistryClient:
    """As ``registry``, with a short timeout and without retries: for work that blocks others."""
    return _quick_client(settings.CONSOLE_REGISTRY_URL, settings.CONSOLE_REGISTRY_SERVICE, os.getpid())


def hub() -> RegistryClient:
    """The client for the cache of Docker Hub's official images, which fetches from Docker Hub what is not cached.

    Its repositories are ``library/NAME``. With ``DOCKERHUB=off`` there is no such registry.
    """
    return _client(settings.DOCKERHUB_URL, settings.DOCKERHUB_SERVICE, os.getpid())


def hub_inner() -> RegistryClient:
    """The client for the content of that cache: it is read-only and never contacts Docker Hub.

    A listed tag was pulled before; of a multi-platform image usually one platform is cached, and the others raise
    ``ManifestUnknown``.
    """
    return _client(settings.DOCKERHUB_INNER_URL, settings.DOCKERHUB_INNER_SERVICE, os.getpid())


def registry_with_token(token: str) -> RegistryClient:
    """A client that sends ``token`` instead of the console's own tokens; close it after use."""
    return RegistryClient(
        settings.REGISTRY_URL, SignedTokens(lambda scopes: (token, float(settings.TOKEN_SECONDS))), retries=1
    )


def registry_answers() -> bool:
    """Health check: whether the registry answers; one request with a timeout of 2 seconds."""
    tokens = SignedTokens(console_token)
    with RegistryClient(settings.REGISTRY_URL, tokens, connect_timeout=1, read_timeout=2, retries=0) as client:
        try:
            client.ping()
        except RegistryError:
            return False
    return True


class _Pool(threading.local):
    """A thread pool for each calling thread, reused from batch to batch; a forked process has its own."""

    def __init__(self) -> None:
        self.process = 0
        self.pool: ThreadPoolExecutor | None = None

    def get(self) -> ThreadPoolExecutor:
        if self.pool is None or self.process != os.getpid():
            self.process = os.getpid()
            self.pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="registry")
        return self.pool


_pool = _Pool()


def at_once(call: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Call the registry for each item, with a few concurrent calls; the results are in the order of the items.

    :param call: must not use the database, whose connections belong to one thread.
    :raises Exception: the first that a call raised, after the running calls have ended; the others are cancelled.
    """
    results: list[R] = []
    waiting = iter(items)
    while some := list(islice(waiting, _SUBMITTED)):
        calls = [_pool.get().submit(call, item) for item in some]
        try:
            results += [one.result() for one in calls]
        except BaseException:
            for one in calls:
                one.cancel()
            wait(calls)
            raise
    return results


def has_images_under(namespace: str) -> bool | None:
    """Whether the registry has a repository with a tag in ``namespace``, of any owner.

    Repositories without tags do not count: deleted images leave them behind.

    :return: ``None`` when the catalogue is so large that the check timed out (20 seconds).
    :raises registry_client.RegistryError: when the registry does not answer; short timeouts, no retries.
    """
    prefix = f"{namespace}/"
    end = time.monotonic() + _CATALOG_SECONDS
    tokens = SignedTokens(functools.partial(console_token, service=settings.CONSOLE_REGISTRY_SERVICE))
    with RegistryClient(settings.CONSOLE_REGISTRY_URL, tokens, connect_timeout=2, read_timeout=20, retries=0) as client:

        def has_tags(repository: str) -> bool:
            try:
                return bool(client.tags(repository))
            except NameUnknown:
                return False

        # Some storages list "team-x/…" before "team/…": other namespaces may stand in between, but not after.
        following = takewhile(lambda name: name.startswith(prefix) or name < prefix, client.catalog(_PAGE, prefix))
        names = (name for name in following if name.startswith(prefix))
        while batch := list(islice(names, _AT_ONCE)):
            if any(at_once(has_tags, batch)):
                return True
            if time.monotonic() > end:
                return None
        return False
