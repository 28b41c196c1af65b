"""Upload blobs, and mount blobs of another repository."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from urllib.parse import urlencode

from registry_client import scopes
from registry_client.errors import DigestMismatch, RegistryError
from registry_client.names import Digest, Repository
from registry_client.transport import Answer, Transport


class _Source:
    """The chunks of a blob, which are hashed while they are sent; stores the failure of the source.

    A failing source ends the body instead of breaking the connection: the registry then returns the upload's state,
    which is needed to cancel it.
    """

    def __init__(self, chunks: Iterable[bytes], digest: Digest, size: int | None) -> None:
        self.failure: BaseException | None = None
        self._chunks, self._digest, self._size = chunks, digest, size

    def __iter__(self) -> Iterator[bytes]:
        hasher, sent = self._digest.hasher(), 0
        try:
            for chunk in self._chunks:
                hasher.update(chunk)
                sent += len(chunk)
                if self._size is not None and sent > self._size:
                    raise DigestMismatch(f"the source of {self._digest} gives more than {self._size} bytes")
                yield chunk
            if self._size is not None and sent != self._size:
                raise DigestMismatch(f"the source of {self._digest} gives {sent} bytes, not {self._size}")
            if not self._digest.is_of(hasher):
                raise DigestMismatch(f"the source's content is not that of {self._digest}")
        except GeneratorExit:
            raise
        except BaseException as error:
            self.failure = error


def upload_blob(
    transport: Transport, repository: Repository, digest: Digest, chunks: Iterable[bytes], size: int | None
) -> None:
    """POST, PATCH and PUT below ``/v2/NAME/blobs/uploads/`` (Distribution specification, "Pushing a Layer")."""
    rights = scopes.push(repository)
    opened = _open(transport, repository, rights, {}, expect=(202,))
    location = _location(transport, opened)
    source = _Source(chunks, digest, size)
    try:
        try:
            written = transport.call(
                "PATCH",
                location,
                scopes=rights,
                headers={"Content-Type": "application/octet-stream"},
                body=source,
                expect=(202,),
                repeatable=False,
            )
            location = _location(transport, written)
        finally:
            if source.failure is not None:
                raise source.failure
        transport.call(
            "PUT",
            f"{location}{'&' if '?' in location else '?'}{urlencode({'digest': digest})}",
            scopes=rights,
            headers={"Content-Type": "application/octet-stream"},
            expect=(201,),
            repeatable=False,
        )
    except BaseException:
        _cancel(transport, location, rights)
        raise


def start_upload(transport: Transport, repository: Repository) -> str:
    """POST ``/v2/NAME/blobs/uploads/``; returns the path of the upload, with its query."""
    return _location(transport, _open(transport, repository, scopes.push(repository), {}, expect=(202,)))


def mount_blob(transport: Transport, repository: Repository, digest: Digest, source: Repository) -> bool:
    """POST ``/v2/NAME/blobs/uploads/?mount=…&from=…`` (Distribution specification, "Cross Repository Blob Mount")."""
    rights = scopes.mount(repository, source)
    answer = _open(transport, repository, rights, {"mount": digest, "from": source}, expect=(201, 202))
    if answer.status == 201:
        return True
    _cancel(transport, _location(transport, answer), rights)
    return False


def _open(
    transport: Transport,
    repository: Repository,
    rights: tuple[str, ...],
    query: dict[str, str],
    expect: tuple[int, ...],
) -> Answer:
    path = f"/v2/{repository}/blobs/uploads/"
    if query:
        path = f"{path}?{urlencode(query)}"
    return transport.call("POST", path, scopes=rights, body=b"", expect=expect, repeatable=False)


def _location(transport: Transport, answer: Answer) -> str:
    return transport.path_of(answer, "Location", answer.headers.get("Location", ""))


def _cancel(transport: Transport, location: str, rights: tuple[str, ...]) -> None:
    """Cancel an upload; errors are ignored, because the registry purges abandoned uploads."""
    with suppress(RegistryError):
        transport.call("DELETE", location, scopes=rights, expect=(200, 202, 204))
