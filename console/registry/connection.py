"""The console's own connection to the registry."""

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
# The registry answers a few calls at a time faster than one after another; more only queue up.
_AT_ONCE = 4
# A call that waits for its turn takes a kilobyte.
_SUBMITTED = 200
# Repositories a page of the catalogue: so many any registry allows.
_PAGE = 100
_LOOKING_SECONDS = 20
_QUICK_SECONDS = 5


@functools.cache
def _client(url: str, service: str, process: int) -> RegistryClient:
    return RegistryClient(url, SignedTokens(functools.partial(console_token, service=service)))


def registry() -> RegistryClient:
    """The client for the installation's registry: one for each process, its connections kept open."""
    return _client(settings.CONSOLE_REGISTRY_URL, settings.CONSOLE_REGISTRY_SERVICE, os.getpid())


@functools.cache
def _quick_client(url: str, service: str, process: int) -> RegistryClient:
    tokens = SignedTokens(functools.partial(console_token, service=service))
    return RegistryClient(url, tokens, read_timeout=_QUICK_SECONDS, retries=0)


def quick_registry() -> RegistryClient:
    """The same for work that others wait for: what is not answered soon is an error, and is not asked again."""
    return _quick_client(settings.CONSOLE_REGISTRY_URL, settings.CONSOLE_REGISTRY_SERVICE, os.getpid())


def hub() -> RegistryClient:
    """The client for the cache of Docker Hub's official images: what is not cached comes from Docker Hub meanwhile.

    Its repositories are ``library/NAME``. With ``DOCKERHUB=off`` nobody answers there.
    """
    return _client(settings.DOCKERHUB_URL, settings.DOCKERHUB_SERVICE, os.getpid())


def hub_inner() -> RegistryClient:
    """The client for what that cache holds at this moment: never asks Docker Hub, and cannot write.

    A tag that is listed here was pulled once; of a multi-platform image usually one platform is here, and the others
    raise ``ManifestUnknown``.
    """
    return _client(settings.DOCKERHUB_INNER_URL, settings.DOCKERHUB_INNER_SERVICE, os.getpid())


def registry_with_token(token: str) -> RegistryClient:
    """A client that carries ``token`` instead of the console's own: close it after use."""
    return RegistryClient(
        settings.REGISTRY_URL, SignedTokens(lambda scopes: (token, float(settings.TOKEN_SECONDS))), retries=1
    )


def registry_answers() -> bool:
    """Whether the registry answers just now; asked once, for a second at most."""
    tokens = SignedTokens(console_token)
    with RegistryClient(settings.REGISTRY_URL, tokens, connect_timeout=1, read_timeout=2, retries=0) as client:
        try:
            client.ping()
        except RegistryError:
            return False
    return True


class _Pool(threading.local):
    """The threads that make calls for one thread, kept from one batch to the next; a forked process has its own."""

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
    """Make a call for each item, a few at a time; the results in order.

    :param call: talks to the registry; must leave the database alone, whose connections belong to one thread.
    :raises Exception: the first that a call raised, when those under way have ended; the others are not made then.
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
    """Whether the registry has a repository with a tag in ``namespace``, whoever pushed it.

    Repositories without tags do not count: deleted images leave them behind.

    :return: ``None`` when there is so much to look at that it cannot be told within some seconds.
    :raises registry_client.RegistryError: when the registry does not answer; it is not asked for long.
    """
    prefix = f"{namespace}/"
    end = time.monotonic() + _LOOKING_SECONDS
    tokens = SignedTokens(functools.partial(console_token, service=settings.CONSOLE_REGISTRY_SERVICE))
    with RegistryClient(settings.CONSOLE_REGISTRY_URL, tokens, connect_timeout=2, read_timeout=20, retries=0) as client:

        def has_tags(repository: str) -> bool:
            try:
                return bool(client.tags(repository))
            except NameUnknown:
                return False

        # Some storages list "team-x/…" before "team/…", so that others may stand between; none stands after.
        following = takewhile(lambda name: name.startswith(prefix) or name < prefix, client.catalog(_PAGE, prefix))
        names = (name for name in following if name.startswith(prefix))
        while batch := list(islice(names, _AT_ONCE)):
            if any(at_once(has_tags, batch)):
                return True
            if time.monotonic() > end:
                return None
        return False
