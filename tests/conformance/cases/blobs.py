"""Pushing, pulling and deleting blobs, for each digest algorithm."""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance import uploads
from tests.conformance.answers import Unsupported, require
from tests.conformance.content import OCTETS, Item, random_blob
from tests.conformance.run import Run
from tests.conformance.sections import (
    CANCEL,
    CHUNKS,
    CONTENT_EXISTS,
    DELETING_BLOBS,
    MOUNTING,
    POST_THEN_PUT,
    PULLING_BLOBS,
    PUSHING_BLOBS,
    SINGLE_POST,
    Section,
)
from tests.conformance.uploads import blob_url

ALGORITHMS = ("sha256", "sha512")
_SIZE = 512


def pull(run: Run, repository: str, blob: Item, prefix: str = "") -> None:
    """HEAD and GET a blob that was pushed."""
    with run.check(f"{prefix}head", CONTENT_EXISTS):
        answer = run.target.head(blob_url(repository, blob.digest)).must_be(200)
        answer.must_have_length(blob.body)
        answer.must_have_digest(blob.digest)
        require(not answer.body, f"{answer} with a body")
    with run.check(f"{prefix}get", PULLING_BLOBS):
        answer = run.target.get(blob_url(repository, blob.digest))
        answer.must_be_content(blob.body)
        answer.must_have_digest(blob.digest)


def delete(run: Run, repository: str, blob: Item, prefix: str = "") -> None:
    """DELETE a blob that was pushed, and check that it is gone."""
    with run.check(f"{prefix}delete", DELETING_BLOBS):
        answer = run.target.delete(blob_url(repository, blob.digest))
        if answer.status in {400, 405}:
            raise Unsupported(str(answer))
        answer.must_be(202)
    with run.check(f"{prefix}deleted", DELETING_BLOBS):
        run.target.head(blob_url(repository, blob.digest)).must_be(404)


def _whole(run: Run, blob: Item, push: Callable[[str], None], section: Section) -> None:
    """Push a blob in one way, pull it, and delete it."""
    repository = run.new_repository()
    with run.check("push", section):
        push(repository)
    pull(run, repository, blob)
    delete(run, repository, blob)


def single_post(run: Run, algorithm: str) -> None:
    """One POST with the bytes."""
    blob = random_blob(_SIZE, algorithm)
    _whole(run, blob, lambda repository: uploads.single_post(run.target, repository, blob), SINGLE_POST)


def post_then_put(run: Run, algorithm: str) -> None:
    """A POST, and a PUT with the bytes."""
    blob = random_blob(_SIZE, algorithm)
    _whole(run, blob, lambda repository: uploads.post_then_put(run.target, repository, blob), POST_THEN_PUT)


def stream(run: Run, algorithm: str) -> None:
    """A PATCH of unknown length."""
    blob = random_blob(_SIZE, algorithm)

    def push(repository: str) -> None:
        uploads.must_be_stored(run.target, uploads.stream(run.target, repository, blob), blob)

    _whole(run, blob, push, CHUNKS)


def _chunked(run: Run, algorithm: str, number: int, *, last_in_put: bool = False) -> None:
    length = uploads.chunk_length(uploads.start(run.target, run.new_repository()))
    blob = random_blob(length * number - 5, algorithm)

    def push(repository: str) -> None:
        closed = uploads.chunks(run.target, repository, blob, length, last_in_put=last_in_put)
        uploads.must_be_stored(run.target, closed, blob)

    _whole(run, blob, push, CHUNKS)


def one_chunk(run: Run, algorithm: str) -> None:
    """A single chunk."""
    _chunked(run, algorithm, 1)


def three_chunks(run: Run, algorithm: str) -> None:
    """Chunks by PATCH, closed by an empty PUT."""
    _chunked(run, algorithm, 3)


def last_chunk_in_put(run: Run, algorithm: str) -> None:
    """The last chunk with the closing PUT."""
    _chunked(run, algorithm, 3, last_in_put=True)


def empty(run: Run, algorithm: str) -> None:
    """A blob without bytes."""
    blob = Item("blob", b"", algorithm=algorithm)
    _whole(run, blob, lambda repository: uploads.post_then_put(run.target, repository, blob), POST_THEN_PUT)


def empty_json(run: Run, algorithm: str) -> None:
    """The empty JSON object, which artifacts have as their config."""
    blob = Item("blob", b"{}", algorithm=algorithm)
    _whole(run, blob, lambda repository: uploads.post_then_put(run.target, repository, blob), POST_THEN_PUT)


def pushed_again(run: Run, algorithm: str) -> None:
    """A blob that the repository has, and one that was deleted."""
    blob, repository = random_blob(_SIZE, algorithm), run.new_repository()
    with run.check("push", POST_THEN_PUT):
        uploads.post_then_put(run.target, repository, blob)
    with run.check("push again", POST_THEN_PUT):
        uploads.post_then_put(run.target, repository, blob)
    delete(run, repository, blob)
    with run.check("push after the deletion", POST_THEN_PUT):
        uploads.post_then_put(run.target, repository, blob)
    pull(run, repository, blob)


def wrong_digest(run: Run, algorithm: str) -> None:
    """Digests that are not those of the bytes."""
    target, repository = run.target, run.new_repository()

    def corrupt(size: int = _SIZE) -> tuple[str, bytes]:
        blob = random_blob(size, algorithm)
        return blob.digest, blob.body + b"oh no"

    with run.check("single POST", PUSHING_BLOBS):
        digest, body = corrupt()
        url = uploads.uploads_url(repository, digest=digest)
        answer = target.send("POST", url, {"Content-Type": OCTETS}, body).must_be(202, 400)
        if answer.status == 202:
            uploads.put(target, answer.location(), digest, body).must_be(400)
    with run.check("POST then PUT", PUSHING_BLOBS):
        digest, body = corrupt()
        location = uploads.start(target, repository).location()
        answer = uploads.put(target, location, digest, body)
        answer.must_be(400).must_have_code("DIGEST_INVALID", "BLOB_UPLOAD_INVALID")
    for name, last_in_put in (("chunks", False), ("chunks, the last in the PUT", True)):
        with run.check(name, PUSHING_BLOBS):
            digest, body = corrupt(3 * uploads.CHUNK - 10)
            location = uploads.start(target, repository).location()
            split = len(body) - 100 if last_in_put else len(body)
            location = uploads.patch(target, location, body[:split], 0).must_be(202).location()
            headers = {"Content-Range": f"{split}-{len(body) - 1}"} if last_in_put else {}
            uploads.put(target, location, digest, body[split:], headers).must_be(400)
    with run.check("stream", PUSHING_BLOBS):
        digest, body = corrupt()
        location = uploads.start(target, repository).location()
        answer = target.send("PATCH", location, {"Content-Type": OCTETS}, body, stream=True).must_be(202)
        uploads.put(target, answer.location(), digest).must_be(400)
    with run.check("not stored", CONTENT_EXISTS):
        target.head(blob_url(repository, digest)).must_be(404)


def mount(run: Run, algorithm: str) -> None:
    """From another repository, which is named."""
    blob, source, repository = random_blob(_SIZE, algorithm), run.new_repository(), run.new_repository()
    with run.check("push to the source", POST_THEN_PUT):
        uploads.post_then_put(run.target, source, blob)
    with run.check("mount", MOUNTING):
        _mount(run, repository, blob, {"from": source})
    pull(run, repository, blob)
    delete(run, repository, blob)
    with run.check("still in the source", DELETING_BLOBS):
        run.target.get(blob_url(source, blob.digest)).must_be_content(blob.body)


def mount_anonymously(run: Run, algorithm: str) -> None:
    """From wherever the registry has it."""
    blob, source, repository = random_blob(_SIZE, algorithm), run.new_repository(), run.new_repository()
    with run.check("push to the source", POST_THEN_PUT):
        uploads.post_then_put(run.target, source, blob)
    with run.check("mount", MOUNTING):
        _mount(run, repository, blob, {})
    pull(run, repository, blob)
    delete(run, repository, blob)


def mount_missing(run: Run, algorithm: str) -> None:
    """A blob that the source does not have: an upload starts instead."""
    blob, source, repository = random_blob(_SIZE, algorithm), run.new_repository(), run.new_repository()
    with run.check("source with another blob", POST_THEN_PUT):
        uploads.post_then_put(run.target, source, random_blob(_SIZE, algorithm))
    with run.check("mount", MOUNTING):
        url = uploads.uploads_url(repository, mount=blob.digest, **{"from": source})
        answer = run.target.send("POST", url).must_be(202)
        uploads.must_be_stored(run.target, uploads.put(run.target, answer.location(), blob.digest, blob.body), blob)
    pull(run, repository, blob)
    delete(run, repository, blob)


def _mount(run: Run, repository: str, blob: Item, source: dict[str, str]) -> None:
    """Mount a blob.

    :raises Unsupported: when the registry starts an upload, which is allowed; the bytes are pushed with it.
    """
    answer = run.target.send("POST", uploads.uploads_url(repository, mount=blob.digest, **source)).must_be(201, 202)
    if answer.status == 202:
        uploads.must_be_stored(run.target, uploads.put(run.target, answer.location(), blob.digest, blob.body), blob)
        raise Unsupported("202: the bytes are to be uploaded")
    uploads.must_be_stored(run.target, answer, blob)


def cancel(run: Run, algorithm: str) -> None:
    """DELETE of an upload."""
    target, repository, blob = run.target, run.new_repository(), random_blob(_SIZE, algorithm)
    location = ""
    with run.check("cancel", CANCEL):
        location = uploads.start(target, repository).location()
        target.delete(location).must_be(204)
    with run.check("then GET", CANCEL):
        target.get(location).must_be(404).must_have_code("BLOB_UPLOAD_UNKNOWN")
    with run.check("then PUT", CANCEL):
        uploads.put(target, location, blob.digest, blob.body).must_be(404).must_have_code("BLOB_UPLOAD_UNKNOWN")
    with run.check("not stored", CONTENT_EXISTS):
        target.head(blob_url(repository, blob.digest)).must_be(404)


# By the end of the cases' names.
CASES = {
    "single-post": single_post,
    "post-then-put": post_then_put,
    "stream": stream,
    "one-chunk": one_chunk,
    "three-chunks": three_chunks,
    "last-chunk-in-put": last_chunk_in_put,
    "empty": empty,
    "empty-json": empty_json,
    "pushed-again": pushed_again,
    "wrong-digest": wrong_digest,
    "mount": mount,
    "mount-anonymously": mount_anonymously,
    "mount-missing": mount_missing,
    "cancel": cancel,
}
