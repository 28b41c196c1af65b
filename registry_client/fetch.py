"""Read manifests: resolve a reference, and get its content."""

from __future__ import annotations

import re

from registry_client import scopes
from registry_client.errors import DigestMismatch, InvalidName, ManifestUnknown
from registry_client.manifests import Descriptor, Manifest
from registry_client.media_types import MANIFEST_MEDIA_TYPES
from registry_client.names import Digest, Repository, Tag
from registry_client.transport import MANIFEST_LIMIT, Answer, Transport

# All types: otherwise the registry would convert a manifest to an accepted type, with another digest.
_ACCEPT = {"Accept": ", ".join(MANIFEST_MEDIA_TYPES)}
_JSON = re.compile(r"application/(?:[\w.+-]+[+.])?(?:json|prettyjws|jws)")


def resolve(transport: Transport, repository: Repository, reference: Tag | Digest) -> Descriptor:
    """HEAD ``/v2/NAME/manifests/REFERENCE`` (Distribution specification, "Existing Manifests")."""
    answer = transport.call(
        "HEAD",
        f"/v2/{repository}/manifests/{reference}",
        scopes=scopes.pull(repository),
        headers=_ACCEPT,
        missing=ManifestUnknown,
    )
    media_type, stated = _media_type(answer), stated_digest(answer)
    if isinstance(reference, Digest):
        if stated is not None and stated.algorithm == reference.algorithm and stated != reference:
            raise DigestMismatch(f"asked for {reference}, given {stated}", request=answer.request)
        stated = reference
    if stated is None or answer.length is None:
        # Both headers are optional; without them the content is needed.
        found = manifest(transport, repository, reference)
        return Descriptor(found.digest, found.media_type, len(found.content))
    return Descriptor(stated, media_type, answer.length)


def manifest(
    transport: Transport,
    repository: Repository,
    reference: Tag | Digest,
    *,
    limit: int = MANIFEST_LIMIT,
    repeatable: bool = True,
) -> Manifest:
    """GET ``/v2/NAME/manifests/REFERENCE`` (Distribution specification, "Pulling an Image Manifest").

    :param limit: maximum size in bytes.
    :param repeatable: whether a failed call is retried.
    """
    answer = transport.call(
        "GET",
        f"/v2/{repository}/manifests/{reference}",
        scopes=scopes.pull(repository),
        headers=_ACCEPT,
        limit=min(limit, MANIFEST_LIMIT),
        repeatable=repeatable,
    )
    media_type, stated = _media_type(answer), stated_digest(answer)
    asked = reference if isinstance(reference, Digest) else None
    for digest in (asked, stated):
        if digest is not None and not digest.is_of(answer.content):
            raise DigestMismatch(f"the manifest's content is not that of {digest}", request=answer.request)
    return Manifest(repository, asked or stated or Digest.of(answer.content), media_type, answer.content)


def stated_digest(answer: Answer) -> Digest | None:
    """The digest in a response's ``Docker-Content-Digest``, ``None`` if missing.

    :raises UnexpectedAnswer: when it is not a digest.
    """
    text = answer.headers.get("Docker-Content-Digest")
    try:
        return None if text is None else Digest(text)
    except InvalidName:
        raise answer.unexpected("the answer's Docker-Content-Digest is not a digest") from None


def _media_type(answer: Answer) -> str:
    if not _JSON.fullmatch(answer.media_type):
        raise answer.unexpected("the answer is not a manifest")
    return answer.media_type
