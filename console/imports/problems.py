"""Errors of an import: one sentence each, and whether it is retried."""

from __future__ import annotations

from dataclasses import dataclass

from console.imports.models import Transfer
from console.official_images.models import OfficialTag
from registry_client import (
    Denied,
    DigestMismatch,
    MalformedManifest,
    ManifestBlobUnknown,
    NotFound,
    RefusedAddress,
    RefusedTokenServer,
    RegistryError,
    RegistryUnavailable,
    Unauthorized,
    UnexpectedAnswer,
)

# Longest host name in a message, in characters.
_LONGEST_HOST = 60
# Message for an unexpected error.
BROKEN = "Something went wrong inside My Images; an administrator finds more in the log."
# Added to the last message of a copy that was retried for too long.
GIVEN_UP = "My Images retried for a day, then gave up."


class TooSlow(RegistryUnavailable):
    """The registry answers so slowly that it would block others."""


class SourceFailure(Exception):
    """The source registry failed with ``error``."""

    def __init__(self, error: RegistryError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True)
class Problem:
    """The message for the page, only with the cause. If it ``passes``, the page adds when it is retried."""

    sentence: str
    passes: bool


def of_source(transfer: Transfer, error: RegistryError) -> Problem:
    """The problem for an error of the source registry."""
    hub = not transfer.source
    name = "Docker Hub" if hub else transfer.source.partition("://")[2]
    if isinstance(error, TooSlow):
        return Problem(f"{name} is too slow.", True)
    if isinstance(error, RegistryUnavailable):
        if error.status == 429:
            return Problem(f"The rate limit of {name} is reached.", True)
        if error.status is not None and error.status >= 500:
            return Problem(f"{name} returned an error.", True)
        return Problem(f"Can’t reach {name}.", True)
    if hub and isinstance(error, Unauthorized | Denied):
        return Problem("Docker Hub or the local cache denies access.", True)
    if isinstance(error, NotFound):
        return _not_found(transfer, name)
    return Problem(_for_good(error, name), False)


def _not_found(transfer: Transfer, name: str) -> Problem:
    hub = not transfer.source
    # Distribution 2.8 as a cache answers "not found" for a tag when Docker Hub rejects it or cannot be reached.
    if hub and not transfer.digest and _known(transfer):
        return Problem(f"Docker Hub does not provide “{transfer.origin}” at the moment, or no longer has it.", True)
    if not transfer.digest:
        either = ", or can’t be reached" if hub else ""
        return Problem(f"{name} has no image “{transfer.origin}”{either}.", False)
    if hub:
        return Problem("Can’t get a part of the image from Docker Hub.", True)
    return Problem(f"The image is incomplete: a part of it is missing at {name}.", False)


def _known(transfer: Transfer) -> bool:
    """Whether the stored catalogue of Docker Hub has the tag."""
    name = transfer.repository.removeprefix("library/")
    return OfficialTag.objects.filter(image__name=name, name=transfer.reference).exists()


def _for_good(error: RegistryError, name: str) -> str:
    if isinstance(error, RefusedAddress):
        return f"{name}, or an address that it redirects to, is not a public address. Ask an administrator to allow it."
    if isinstance(error, RefusedTokenServer):
        return _refused_token_server(error, name)
    if isinstance(error, Unauthorized | Denied):
        return f"{name} denies access to this image: it does not exist, or it needs another user name and password."
    if isinstance(error, DigestMismatch):
        return f"Content from {name} does not match its digest. Nothing was stored."
    if isinstance(error, MalformedManifest):
        return "The image’s manifest cannot be understood."
    if isinstance(error, UnexpectedAnswer):
        return f"{name} does not respond like a registry."
    return f"{name} refused a step of the copy."


def _refused_token_server(error: RefusedTokenServer, name: str) -> str:
    server = error.host if len(error.host) <= _LONGEST_HOST else "a server with a very long name"
    if error.without_tls:
        return f"{name} requires a login without TLS, at {server}. Nothing was sent there."
    return (
        f"{name} asks for your user name and password to be sent to another server, {server}. They were not sent. "
        "If that server is right, ask an administrator to allow it."
    )


def of_target(error: RegistryError) -> Problem:
    """The problem for an error of our own registry."""
    if isinstance(error, RegistryUnavailable):
        if error.status is not None:
            return Problem("The registry of My Images returned an error. Its storage may be full.", True)
        return Problem("Can’t reach the registry of My Images.", True)
    if isinstance(error, Unauthorized):
        return Problem("The registry of My Images rejects the console.", True)
    if isinstance(error, ManifestBlobUnknown):
        return Problem("A part of the image was deleted in the meantime.", True)
    return Problem("The registry refused a step of the copy.", False)
