"""Ways to push a blob, each checking every answer on its way."""

from __future__ import annotations

from collections.abc import Mapping

from tests.conformance.answers import Answer, Unsupported, require, with_query
from tests.conformance.content import OCTETS, Item
from tests.conformance.target import Target

# Bytes of a chunk, unless the registry asks for more.
CHUNK = 1024


def blob_url(repository: str, digest: str) -> str:
    """The path of a blob."""
    return f"/v2/{repository}/blobs/{digest}"


def uploads_url(repository: str, **parameters: str) -> str:
    """The path that uploads are started at."""
    return with_query(f"/v2/{repository}/blobs/uploads/", **parameters)


def start(target: Target, repository: str) -> Answer:
    """Start an upload."""
    return target.send("POST", uploads_url(repository)).must_be(202)


def put(
    target: Target, location: str, digest: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    """Close an upload, with the last or only bytes of it."""
    sent = {"Content-Type": OCTETS, **(headers or {})}
    return target.send("PUT", with_query(location, digest=digest), sent, body)


def patch(target: Target, location: str, body: bytes, start_at: int) -> Answer:
    """Upload a chunk, which begins at the byte ``start_at`` of the blob."""
    headers = {"Content-Type": OCTETS, "Content-Range": f"{start_at}-{start_at + len(body) - 1}"}
    return target.send("PATCH", location, headers, body)


def must_be_stored(target: Target, answer: Answer, blob: Item) -> None:
    """Check the answer to the end of an upload: 201 with a URL that the blob can be pulled from."""
    answer.must_be(201).must_have_digest(blob.digest)
    target.get(answer.location()).must_be_content(blob.body)


def post_then_put(target: Target, repository: str, blob: Item) -> None:
    """Push a blob with a POST and a PUT."""
    location = start(target, repository).location()
    must_be_stored(target, put(target, location, blob.digest, blob.body), blob)


def single_post(target: Target, repository: str, blob: Item) -> None:
    """Push a blob with one POST.

    :raises Unsupported: when the registry asks for a PUT, which is allowed; the PUT is sent and checked, too.
    """
    answer = target.send("POST", uploads_url(repository, digest=blob.digest), {"Content-Type": OCTETS}, blob.body)
    answer.must_be(201, 202)
    if answer.status == 202:
        must_be_stored(target, put(target, answer.location(), blob.digest, blob.body), blob)
        raise Unsupported("202: the bytes are to be sent again with a PUT")
    must_be_stored(target, answer, blob)


def stream(target: Target, repository: str, blob: Item) -> Answer:
    """Push a blob with a PATCH of unknown length, and return the answer to the closing PUT."""
    location = start(target, repository).location()
    answer = target.send("PATCH", location, {"Content-Type": OCTETS}, blob.body, stream=True).must_be(202)
    return put(target, answer.location(), blob.digest)


def chunk_length(opened: Answer) -> int:
    """The length of chunks: ``CHUNK``, or what ``OCI-Chunk-Min-Length`` asks for."""
    least = opened.headers.get("OCI-Chunk-Min-Length", "0")
    require(least.isdecimal(), f"{opened} with an OCI-Chunk-Min-Length that is no number")
    return max(CHUNK, int(least))


def accepted(answer: Answer, last: int) -> str:
    """Check the answer to a chunk; returns where the next one goes.

    :param last: the position of the last byte of the blob that is uploaded.
    """
    answer.must_be(202).must_have_header("Range", f"0-{last}")
    return answer.location()


def chunks(target: Target, repository: str, blob: Item, length: int, *, last_in_put: bool = False) -> Answer:
    """Push a blob in chunks of ``length`` bytes, in order, and return the answer to the closing PUT.

    :param last_in_put: whether the last chunk is sent with the closing PUT.
    """
    location = start(target, repository).location()
    for first in range(0, len(blob.body), length):
        piece = blob.body[first : first + length]
        end = first + len(piece) - 1
        if last_in_put and end == len(blob.body) - 1:
            return put(target, location, blob.digest, piece, {"Content-Range": f"{first}-{end}"})
        location = accepted(patch(target, location, piece, first), end)
    return put(target, location, blob.digest)
