"""The client: each call of the Registry HTTP API v2 as a method."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

from registry_client import blobs, catalog, contents, delete, fetch, ping, put, tags, upload
from registry_client.authentication import Anonymous, Authentication
from registry_client.connections import Connections
from registry_client.manifests import Descriptor, Manifest
from registry_client.names import check_digest, check_reference, check_repository
from registry_client.transport import MANIFEST_LIMIT, Transport


class RegistryClient:
    """A registry (Distribution, or any that speaks Registry HTTP API v2 or the OCI distribution specification).

    One client is for all threads of a process; connections are kept open and reused. Each method raises
    :class:`RegistryError`: ``RegistryUnavailable`` when there is no answer, ``Unauthorized`` or ``Denied`` when the
    registry does not allow the call, ``UnexpectedAnswer`` when the answer is not a registry's, and ``InvalidName``
    before anything is sent. Calls that may be made twice are repeated a few times before ``RegistryUnavailable``.

    :param base_url: scheme, host and perhaps port, like ``http://127.0.0.1:5000``.
    :param authentication: where the authorization comes from; none when not given.
    :param connect_timeout: seconds until a connection must stand.
    :param read_timeout: seconds an answer, or its next piece, may keep the caller waiting.
    :param retries: how often a call is repeated that may be.
    :param connections: connections to use instead of ones with these time-outs; closed with the client.
    :raises ValueError: when ``base_url`` is not such an address.
    """

    def __init__(
        self,
        base_url: str,
        authentication: Authentication | None = None,
        *,
        connect_timeout: float = 3.0,
        read_timeout: float = 30.0,
        retries: int = 3,
        user_agent: str = "my-images",
        connections: Connections | None = None,
    ) -> None:
        self._connections = connections or Connections(
            connect_timeout=connect_timeout, read_timeout=read_timeout, retries=retries, user_agent=user_agent
        )
        self._transport = Transport(base_url, authentication or Anonymous(), self._connections)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RegistryClient {self._transport.origin}>"

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._connections.close()

    def ping(self) -> None:
        """Make sure that there is a registry and that it accepts our authorization."""
        ping.ping(self._transport)

    def catalog(self, page_size: int = 1000, after: str = "") -> Iterator[str]:
        """All repositories, fetched in pages as they are wanted.

        :param page_size: repositories a page; a registry may refuse too large a one (400).
        :param after: only those that come after this name in the registry's order; there need not be one of that name.
        """
        return catalog.catalog(self._transport, page_size, after)

    def tags(self, repository: str) -> list[str]:
        """All tags of a repository, in the registry's order.

        :raises NameUnknown: when there is no such repository.
        """
        return tags.tags(self._transport, check_repository(repository))

    def resolve(self, repository: str, reference: str) -> Descriptor:
        """What a tag or a digest points at, without its content.

        :raises ManifestUnknown: when there is no such manifest, tag or repository.
        :raises DigestMismatch: when the registry answers with another digest than was asked for.
        """
        return fetch.resolve(self._transport, check_repository(repository), check_reference(reference))

    def manifest(self, repository: str, reference: str, *, limit: int = MANIFEST_LIMIT) -> Manifest:
        """The manifest of a tag or a digest, its content verified.

        :param limit: the most bytes that it may have.
        :raises AnswerTooLarge: when it has more.
        :raises ManifestUnknown: when there is no such manifest, tag or repository.
        :raises DigestMismatch: when the content does not have the digest asked for or stated.
        """
        checked = check_reference(reference)
        return fetch.manifest(self._transport, check_repository(repository), checked, limit=limit)

    def content_of(
        self, repository: str, digest: str, media_type: str = "", *, limit: int = MANIFEST_LIMIT
    ) -> Manifest | Descriptor | None:
        """What a repository holds under a digest: a manifest, a blob (its descriptor), or nothing.

        :param media_type: what a descriptor says of it; decides what is asked for first, and nothing else.
        :param limit: the most bytes that a manifest may have.
        :raises AnswerTooLarge: when it has more, and ``limit`` is less than what registries take.
        :raises UnreadableContent: when there is something that the registry cannot give out.
        """
        checked = check_digest(digest)
        return contents.content_of(self._transport, check_repository(repository), checked, media_type, limit)

    def put_manifest(self, repository: str, reference: str, content: bytes, media_type: str) -> str:
        """Store a manifest under a tag or its digest, and return its digest.

        :raises ManifestBlobUnknown: when it names a blob or a child that the repository does not have.
        :raises DigestMismatch: when ``reference`` is a digest, but not that of ``content``.
        :raises ValueError: when ``media_type`` is none.
        """
        return put.put_manifest(
            self._transport, check_repository(repository), check_reference(reference), content, media_type
        )

    def delete_manifest(self, repository: str, digest: str, missing_ok: bool = False) -> None:
        """Delete a manifest and **every** tag that points at it.

        :param missing_ok: whether it is fine that it is not there.
        :raises NotFound: when it is not, as ``ManifestUnknown`` or ``NameUnknown``.
        :raises Unsupported: when the registry does not delete.
        """
        delete.delete_manifest(self._transport, check_repository(repository), check_digest(digest), missing_ok)

    def stat_blob(self, repository: str, digest: str) -> Descriptor:
        """Whether a repository has a blob, and its size.

        :raises BlobUnknown: when it has not.
        """
        return blobs.stat_blob(self._transport, check_repository(repository), check_digest(digest))

    def blob(self, repository: str, digest: str, chunk_size: int = 1 << 20) -> Iterator[bytes]:
        """The content of a blob, fetched as it is consumed; nothing is sent before the first piece is wanted.

        Content is verified at its end: until the iterator ends without an exception, do not trust what it gave.

        :param chunk_size: the most bytes in a piece.
        :raises BlobUnknown: when the repository does not have it.
        :raises DigestMismatch: at the end, when the content does not have the digest.
        """
        return blobs.stream_blob(self._transport, check_repository(repository), check_digest(digest), chunk_size)

    def read_blob(self, repository: str, digest: str, limit: int) -> bytes:
        """The content of a small blob, verified.

        :param limit: the most bytes it may have.
        :raises BlobUnknown: when the repository does not have it.
        :raises DigestMismatch: when the content does not have the digest.
        :raises UnexpectedAnswer: when it is larger than ``limit``.
        """
        return blobs.read_blob(self._transport, check_repository(repository), check_digest(digest), limit)

    def upload_blob(self, repository: str, digest: str, chunks: Iterable[bytes], size: int | None = None) -> None:
        """Store a blob, sent as ``chunks`` gives it.

        When ``chunks`` raises, the upload is cancelled and the exception passed on.

        :param size: how many bytes ``chunks`` must give in all, when that is known.
        :raises DigestMismatch: when ``chunks`` gives something else; nothing is stored then.
        """
        upload.upload_blob(self._transport, check_repository(repository), check_digest(digest), chunks, size)

    def mount_blob(self, repository: str, digest: str, source_repository: str) -> bool:
        """Let a repository share a blob that another has.

        :return: ``False`` when the registry wants it to be uploaded instead.
        """
        return upload.mount_blob(
            self._transport,
            check_repository(repository),
            check_digest(digest),
            check_repository(source_repository),
        )

    def delete_blob(self, repository: str, digest: str, missing_ok: bool = False) -> None:
        """Unlink a blob from a repository; its bytes stay until the registry collects its garbage.

        :param missing_ok: whether it is fine that it is not there.
        :raises BlobUnknown: when it is not.
        :raises Unsupported: when the registry does not delete.
        """
        delete.delete_blob(self._transport, check_repository(repository), check_digest(digest), missing_ok)
