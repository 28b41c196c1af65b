"""Push manifests."""

from __future__ import annotations

import re

from registry_client import scopes
from registry_client.errors import DigestMismatch
from registry_client.fetch import stated_digest
from registry_client.names import Digest, Repository, Tag
from registry_client.transport import Transport

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w!#$&^.+-]{0,126}/[A-Za-z0-9][\w!#$&^.+-]{0,126}", re.ASCII)


def put_manifest(
    transport: Transport, repository: Repository, reference: Tag | Digest, content: bytes, media_type: str
) -> Digest:
    """PUT ``/v2/NAME/manifests/REFERENCE`` (Distribution specification, "Pushing an Image Manifest")."""
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise ValueError(f"{media_type!r} is not a media type.")
    path = f"/v2/{repository}/manifests/{reference}"
    if isinstance(reference, Digest) and not reference.is_of(content):
        raise DigestMismatch(f"the content is not that of {reference}", request=f"PUT {path}")
    answer = transport.call(
        "PUT",
        path,
        scopes=scopes.push(repository),
        headers={"Content-Type": media_type},
        body=content,
        expect=(201,),
    )
    digest = stated_digest(answer) or (reference if isinstance(reference, Digest) else Digest.of(content))
    if not digest.is_of(content):
        raise DigestMismatch(f"the registry took the content for {digest}", request=answer.request)
    return digest
