"""Find out what a repository has under a digest, a manifest or a blob, whatever its descriptor says.

Registries check that the entries of an index exist, but not what they are: BuildKit's cache is an index of layers and
one JSON file, and an entry with a manifest's media type may be a layer. Distribution answers 500 when a layer is
requested as a manifest, and also when its storage is damaged, so the status alone is ambiguous.
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
    """Request first what the media type says, so that one call is enough if it is correct."""
    if media_type not in {"", *MANIFEST_MEDIA_TYPES}:
        return _blob(transport, repository, digest) or _manifest(transport, repository, digest, limit)
    try:
        # No retry: for a blob the response would be 500 each time.
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
    """Classify: a 500, or a success that is no manifest, concerns this content; all other errors the registry."""
    return _unreadable(error) if error.status in {HTTPStatus.OK, HTTPStatus.INTERNAL_SERVER_ERROR} else error


def _unreadable(error: RegistryError) -> UnreadableContent:
    return UnreadableContent(
        error.message, status=error.status, code=error.code, detail=error.detail, request=error.request
    )
