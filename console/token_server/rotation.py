"""Rotate the signing key of registry tokens without refusing any client (see ``installation.keys``)."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from console.audit.services import record
from console.installation import keys
from console.registry.signing import sign
from registry_client import RegistryClient, RegistryError, RegistryUnavailable, SignedTokens, Unauthorized

_RESTART_SECONDS = 60.0
# A process of the console may have read the key just before it changed, and sign with it a moment later.
_SIGNING_SECONDS = 60


class NotNow(Exception):
    """The key was not changed. The message is one sentence for the operator: why, and what to do."""


@dataclass(frozen=True)
class Registry:
    """A registry that accepts the console's tokens.

    :param ours: whether ``make run`` starts it. If it does not answer, it will read its keys when it starts.
    """

    url: str
    service: str
    ours: bool


def registries() -> list[Registry]:
    """All registries that must trust a key before anything is signed with it."""
    own = {
        settings.REGISTRY_URL: settings.REGISTRY_SERVICE,
        settings.CONSOLE_REGISTRY_URL: settings.CONSOLE_REGISTRY_SERVICE,
    }
    found = [Registry(url, service, settings.REGISTRY_IS_OURS) for url, service in sorted(own.items())]
    if settings.DOCKERHUB_ENABLED:
        cache = {
            settings.DOCKERHUB_URL: settings.DOCKERHUB_SERVICE,
            settings.DOCKERHUB_INNER_URL: settings.DOCKERHUB_INNER_SERVICE,
        }
        found += [Registry(url, service, True) for url, service in sorted(cache.items())]
    return found


def trusts(registry: Registry, key_file: Path) -> bool | None:
    """Whether a registry accepts tokens signed with a key; ``None`` when it does not answer."""

    def sign_with_it(scopes: tuple[str, ...]) -> tuple[str, float]:
        token = sign(":rotation", [], registry.service, key_file=key_file)
        return token.text, float(token.expires_in)

    tokens = SignedTokens(sign_with_it)
    with RegistryClient(registry.url, tokens, connect_timeout=2, read_timeout=10, retries=0) as client:
        try:
            client.ping()
        except Unauthorized:
            return False
        except RegistryUnavailable:
            return None
        except RegistryError as error:
            raise NotNow(f"The registry at {registry.url} gave an unexpected answer: {error}") from None
    return True


def rotate() -> datetime.datetime:
    """Sign with the next key from now on, in every process at once.

    :return: until when tokens signed with the former key are trusted.
    :raises NotNow: when a registry does not trust the next key, or does not answer; nothing has changed then.
    """
    for registry in registries():
        answer = trusts(registry, settings.KEYS.next_token_key)
        if answer is False:
            raise NotNow(_does_not_know(registry))
        if answer is None and not registry.ours:
            raise NotNow(
                f"The registry at {registry.url} does not answer; nothing was changed. Try again when it does."
            )
    overlap = settings.TOKEN_SECONDS + settings.REGISTRY_CLOCK_SKEW_SECONDS + _SIGNING_SECONDS
    with transaction.atomic():
        record("signing_key.rotate", "registry tokens", overlap_seconds=overlap)
        return datetime.datetime.fromtimestamp(keys.rotate(settings.KEYS, overlap), datetime.UTC)


def _does_not_know(registry: Registry) -> str:
    if registry.ours:
        return (
            f"The registry at {registry.url} has not read the next key yet: "
            "run 'manage.py rotate_signing_key --retire' first, or start My Images again."
        )
    return (
        f"The registry at {registry.url} does not know the next key: copy {settings.KEYS.token_certificate} to where "
        "its rootcertbundle is, start it again, then try again."
    )


def retire(wait: Callable[[float], None] = time.sleep) -> bool:
    """Stop trusting the former key once its tokens have expired: the registries are restarted without it.

    :param wait: called with the number of seconds to sleep between two checks.
    :return: whether registries of ours were restarted; if none runs, they read the keys when My Images starts.
    :raises NotNow: when tokens that it signed have not expired, or the registries do not come back.
    """
    end = keys.retires_at(settings.KEYS)
    if end is not None and end > time.time():
        when = datetime.datetime.fromtimestamp(end, datetime.UTC)
        raise NotNow(f"Tokens signed with the former key are valid until {when:%H:%M:%S} UTC: try again then.")
    with transaction.atomic():
        record("signing_key.retire", "registry tokens")
        keys.renew_bundle(settings.KEYS)
    ours = [registry for registry in registries() if registry.ours]
    running = [registry for registry in ours if trusts(registry, settings.KEYS.token_key) is not None]
    if not running:
        return False
    request = settings.ENVIRONMENT.restart_request
    request.touch()
    deadline = time.monotonic() + _RESTART_SECONDS
    while request.exists() or not all(trusts(registry, settings.KEYS.next_token_key) for registry in running):
        if time.monotonic() > deadline:
            request.unlink(missing_ok=True)
            raise NotNow("The registries were not started again within a minute: stop My Images and start it again.")
        wait(0.1)
    return True
