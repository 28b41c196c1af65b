"""What a repository really holds under a digest, whatever the descriptor says that names it.

Registries check that the entries of an index are there, not what they are: BuildKit's cache is an index of layers and
one JSON file, and an entry may call itself a manifest and be a layer. Distribution answers 500 when it is asked for a
layer as a manifest, as it does when its storage is damaged, so the status alone does not tell.
"""

from __future__ import annotations

from http import HTTPStatus

from registry_client.blobs import stat_blob
from registry_client.errors import (
    AnswerTooLarge,
    DigestMismatch,
    NotFound,
    RegistryError,
    RegistryUnavailable,
    UnexpectedAnswer,
    UnreadableContent,
)
from registry_client.fetch import manifest
from registry_client.manifests import Descriptor, Manifest
from registry_client.media_types import MANIFEST_MEDIA_TYPES
from registry_client.names import Digest, Repository
from registry_client.transport import MANIFEST_LIMIT, Transport


def content_of(
    transport: Transport, repository: Repository, digest: Digest, media_type: str, limit: int = MANIFEST_LIMIT
) -> Manifest | Descriptor | None:
    """Ask for what the media type promises first: one call for what is as it says."""
    if media_type not in {"", *MANIFEST_MEDIA_TYPES}:
        return _blob(transport, repository, digest) or _manifest(transport, repository, digest, limit)
    try:
        # Not repeated: for a blob it would be answered 500 each time.
        return manifest(transport, repository, digest, limit=limit, repeatable=False)
    except RegistryError as error:
        if isinstance(error, AnswerTooLarge) and limit < MANIFEST_LIMIT:
            raise
        return _blob(transport, repository, digest) or _manifest(transport, repository, digest, limit)


def _blob(transport: Transport, repository: Repository, digest: Digest) -> Descriptor | None:
    try:
        return stat_blob(transport, repository, digest)
    except NotFound:
        return None
    except RegistryUnavailable as error:
        raise _judged(error) from error


def _manifest(transport: Transport, repository: Repository, digest: Digest, limit: int) -> Manifest | None:
    try:
        return manifest(transport, repository, digest, limit=limit)
    except NotFound:
        return None
    except AnswerTooLarge as error:
        if limit < MANIFEST_LIMIT:
            raise
        raise _judged(error) from error
    except DigestMismatch as error:
        raise _unreadable(error) from error
    except (RegistryUnavailable, UnexpectedAnswer) as error:
        raise _judged(error) from error


def _judged(error: RegistryError) -> RegistryError:
    """A 500, and a success that is no manifest, are about this content; everything else is about the registry."""
    return _unreadable(error) if error.status in {HTTPStatus.OK, HTTPStatus.INTERNAL_SERVER_ERROR} else error


def _unreadable(error: RegistryError) -> UnreadableContent:
    return UnreadableContent(
        error.message, status=error.status, code=error.code, detail=error.detail, request=error.request
    )
