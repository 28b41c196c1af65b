"""The console's own connection to the registry."""

from __future__ import annotations

import functools
import os

from django.conf import settings

from console.tokens.services import console_token
from registry_client import RegistryClient, RegistryError, SignedTokens


@functools.cache
def _client(url: str, process: int) -> RegistryClient:
    return RegistryClient(url, SignedTokens(console_token))


def registry() -> RegistryClient:
    """The client for the installation's registry: one for each process, its connections kept open."""
    return _client(settings.REGISTRY_URL, os.getpid())


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
