"""The registry client: each call of the Registry HTTP API v2 as a method."""

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
    """A registry (Distribution, or any with the Registry HTTP API v2 or the OCI distribution specification).

    Thread-safe: one client for all threads of a process, with reused connections. Each method raises
    :class:`RegistryError`: ``RegistryUnavailable`` when there is no response, ``Unauthorized`` or ``Denied`` when the
    registry does not allow the call, ``UnexpectedAnswer`` when the response is not from a registry, and ``InvalidName``
    before anything is sent. Idempotent calls are retried a few times before ``RegistryUnavailable``.

    :param base_url: scheme, host and optional port, like ``http://127.0.0.1:5000``.
    :param authentication: provides the authorization; anonymous by default.
    :param connect_timeout: timeout of a connection in seconds.
    :param read_timeout: timeout of a response, or its next piece, in seconds.
    :param retries: number of retries of idempotent calls.
    :param connections: connections to use instead of ones with these timeouts; closed with the client.
    :raises ValueError: when ``base_url`` is not such a URL.
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
        """Close all open connections."""
        self._connections.close()

    def ping(self) -> None:
        """Health check: whether the registry answers, and accepts our authorization."""
        ping.ping(self._transport)

    def catalog(self, page_size: int = 1000, after: str = "") -> Iterator[str]:
        """Iterate over all repositories, fetched lazily in pages.

        :param page_size: repositories per page; a registry may reject a large number (400).
        :param after: only repositories after this name in the registry's order; it does not have to exist.
        """
        return catalog.catalog(self._transport, page_size, after)

    def tags(self, repository: str) -> list[str]:
        """List all tags of a repository, in the registry's order.

        :raises NameUnknown: when the repository does not exist.
        """
        return tags.tags(self._transport, check_repository(repository))

    def resolve(self, repository: str, reference: str) -> Descriptor:
        """The descriptor of a tag's or a digest's manifest, without its content.

        :raises ManifestUnknown: when the manifest, tag or repository does not exist.
        :raises DigestMismatch: when the registry answers with another digest than the requested one.
        """
        return fetch.resolve(self._transport, check_repository(repository), check_reference(reference))

    def manifest(self, repository: str, reference: str, *, limit: int = MANIFEST_LIMIT) -> Manifest:
        """The manifest of a tag or a digest, with verified content.

        :param limit: maximum size in bytes.
        :raises AnswerTooLarge: when it is larger.
        :raises ManifestUnknown: when there is no such manifest, tag or repository.
        :raises DigestMismatch: when the content does not have the digest asked for or stated.
        """
        checked = check_reference(reference)
        return fetch.manifest(self._transport, check_repository(repository), checked, limit=limit)

    def content_of(
        self, repository: str, digest: str, media_type: str = "", *, limit: int = MANIFEST_LIMIT
    ) -> Manifest | Descriptor | None:
        """The content of a digest in a repository: a manifest, a blob (its descriptor), or ``None``.

        :param media_type: the media type in a descriptor; decides only which request is sent first.
        :param limit: maximum size of a manifest in bytes.
        :raises AnswerTooLarge: when it is larger, and ``limit`` is lower than the limit of registries.
        :raises UnreadableContent: when the registry has it, but cannot read it.
        """
        checked = check_digest(digest)
        return contents.content_of(self._transport, check_repository(repository), checked, media_type, limit)

    def put_manifest(self, repository: str, reference: str, content: bytes, media_type: str) -> str:
        """Push a manifest with a tag or by its digest; returns its digest.

        :raises ManifestBlobUnknown: when it names a blob or a child that the repository does not have.
        :raises DigestMismatch: when ``reference`` is a digest, but not that of ``content``.
        :raises ValueError: when ``media_type`` is invalid.
        """
        return put.put_manifest(
            self._transport, check_repository(repository), check_reference(reference), content, media_type
        )

    def delete_manifest(self, repository: str, digest: str, missing_ok: bool = False) -> None:
        """Delete a manifest and **all** its tags.

        :param missing_ok: ignore a manifest that does not exist.
        :raises NotFound: when it does not exist, as ``ManifestUnknown`` or ``NameUnknown``.
        :raises Unsupported: when deletes are disabled.
        """
        delete.delete_manifest(self._transport, check_repository(repository), check_digest(digest), missing_ok)

    def stat_blob(self, repository: str, digest: str) -> Descriptor:
        """Check that a repository has a blob; returns its descriptor with the size.

        :raises BlobUnknown: when it does not exist.
        """
        return blobs.stat_blob(self._transport, check_repository(repository), check_digest(digest))

    def blob(self, repository: str, digest: str, chunk_size: int = 1 << 20) -> Iterator[bytes]:
        """Stream the content of a blob lazily; the request is sent when the first piece is consumed.

        The digest is verified at the end: do not trust the content before the iterator ends without an exception.

        :param chunk_size: maximum size of a piece in bytes.
        :raises BlobUnknown: when the repository does not have it.
        :raises DigestMismatch: at the end, when the content does not have the digest.
        """
        return blobs.stream_blob(self._transport, check_repository(repository), check_digest(digest), chunk_size)

    def read_blob(self, repository: str, digest: str, limit: int) -> bytes:
        """The verified content of a small blob.

        :param limit: maximum size in bytes.
        :raises BlobUnknown: when the repository does not have it.
        :raises DigestMismatch: when the content does not have the digest.
        :raises UnexpectedAnswer: when it is larger than ``limit``.
        """
        return blobs.read_blob(self._transport, check_repository(repository), check_digest(digest), limit)

    def upload_blob(self, repository: str, digest: str, chunks: Iterable[bytes], size: int | None = None) -> None:
        """Upload a blob, streamed from ``chunks``.

        When ``chunks`` raises, the upload is cancelled and the exception is re-raised.

        :param size: total size of ``chunks`` in bytes, if known.
        :raises DigestMismatch: when ``chunks`` has another size or digest; nothing is stored then.
        """
        upload.upload_blob(self._transport, check_repository(repository), check_digest(digest), chunks, size)

    def start_upload(self, repository: str) -> str:
        """Start the upload of a blob, for somebody else to send the bytes.

        :return: the path that they are sent to, with its query.
        """
        return upload.start_upload(self._transport, check_repository(repository))

    def mount_blob(self, repository: str, digest: str, source_repository: str) -> bool:
        """Mount a blob of another repository, without copying it.

        :return: ``False`` when the registry requires an upload instead.
        """
        return upload.mount_blob(
            self._transport,
            check_repository(repository),
            check_digest(digest),
            check_repository(source_repository),
        )

    def delete_blob(self, repository: str, digest: str, missing_ok: bool = False) -> None:
        """Unlink a blob from a repository; its bytes stay until the registry's garbage collection.

        :param missing_ok: ignore a blob that does not exist.
        :raises BlobUnknown: when it does not exist.
        :raises Unsupported: when deletes are disabled.
        """
        delete.delete_blob(self._transport, check_repository(repository), check_digest(digest), missing_ok)
