"""Read blobs: check whether one exists, and get its content."""

from __future__ import annotations

from collections.abc import Iterator

from registry_client import scopes
from registry_client.connections import pieces
from registry_client.errors import BlobUnknown, DigestMismatch, UnexpectedAnswer
from registry_client.manifests import Descriptor
from registry_client.names import Digest, Repository
from registry_client.transport import Transport


def stat_blob(transport: Transport, repository: Repository, digest: Digest) -> Descriptor:
    """HEAD ``/v2/NAME/blobs/DIGEST`` (Distribution specification, "Existing Layers")."""
    answer = transport.call(
        "HEAD",
        f"/v2/{repository}/blobs/{digest}",
        scopes=scopes.pull(repository),
        follow=True,
        missing=BlobUnknown,
    )
    if answer.length is None:
        raise answer.unexpected("the answer does not say how long the blob is")
    return Descriptor(digest, answer.media_type, answer.length)


def stream_blob(transport: Transport, repository: Repository, digest: Digest, chunk_size: int) -> Iterator[bytes]:
    """GET ``/v2/NAME/blobs/DIGEST`` (Distribution specification, "Pulling a Layer")."""
    hasher = digest.hasher()
    with transport.stream(f"/v2/{repository}/blobs/{digest}", scopes.pull(repository)) as response:
        for piece in pieces(response, chunk_size):
            hasher.update(piece)
            yield piece
        if not digest.is_of(hasher):
            raise DigestMismatch(f"the blob's content is not that of {digest}")


def read_blob(transport: Transport, repository: Repository, digest: Digest, limit: int) -> bytes:
    """Read a small blob into memory."""
    content = bytearray()
    for piece in stream_blob(transport, repository, digest, min(limit + 1, 1 << 16)):
        content += piece
        if len(content) > limit:
            raise UnexpectedAnswer(f"the blob is larger than {limit} bytes", request=f"GET {repository}@{digest}")
    return bytes(content)
