"""The console's own connection to the registry."""

from __future__ import annotations

import functools
import os

from django.conf import settings

from console.tokens.services import console_token
from registry_client import RegistryClient, SignedTokens


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
