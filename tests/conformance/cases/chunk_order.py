"""Chunks out of order, overlapping or malformed, and resuming an upload."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from tests.conformance import uploads
from tests.conformance.answers import Answer, require
from tests.conformance.content import OCTETS, Item, random_blob
from tests.conformance.run import Run
from tests.conformance.sections import CHUNKS, ERROR_CODES, POST_THEN_PUT, PUSHING_BLOBS
from tests.conformance.uploads import accepted, patch, put, start


class Upload:
    """An upload that has its first ``chunks`` of three."""

    def __init__(self, run: Run, repository: str, algorithm: str, chunks: int = 0) -> None:
        self.target = run.target
        opened = start(self.target, repository)
        self.length = uploads.chunk_length(opened)
        self.blob: Item = random_blob(3 * self.length - 5, algorithm)
        self.location = opened.location()
        for number in range(chunks):
            self.location = accepted(self.send(number), self.end(number))

    def piece(self, number: int) -> bytes:
        """The bytes of a chunk."""
        return self.blob.body[number * self.length : (number + 1) * self.length]

    def end(self, number: int) -> int:
        """The position of a chunk's last byte."""
        return number * self.length + len(self.piece(number)) - 1

    def send(self, number: int) -> Answer:
        """Send a chunk."""
        return patch(self.target, self.location, self.piece(number), number * self.length)

    def close(self, number: int | None = None, digest: str = "") -> Answer:
        """Close the upload, with a chunk if one is given."""
        digest = digest or self.blob.digest
        if number is None:
            return put(self.target, self.location, digest)
        headers = {"Content-Range": f"{number * self.length}-{self.end(number)}"}
        return put(self.target, self.location, digest, self.piece(number), headers)


def out_of_order(run: Run, algorithm: str) -> None:
    """Each in an upload of its own, so that one that is accepted has no effect on the others."""
    target, repository = run.target, run.new_repository()

    def begun(chunks: int) -> Upload:
        return Upload(run, repository, algorithm, chunks)

    refused: dict[str, Callable[[], Answer]] = {
        "first chunk ahead": lambda: begun(0).send(1),
        "gap after the first chunk": lambda: begun(1).send(2),
        "first chunk again": lambda: begun(1).send(0),
        "closing PUT with a chunk ahead": lambda: begun(1).close(2),
        "closing PUT with a chunk again": lambda: begun(1).close(0),
    }
    for name, send in refused.items():
        with run.check(name, CHUNKS):
            send().must_be(416)
    with run.check("overlap", CHUNKS):
        upload = begun(1)
        middle = upload.length // 2
        patch(target, upload.location, upload.blob.body[middle : middle + upload.length], middle).must_be(416)
    with run.check("nothing is lost after a refused chunk", CHUNKS):
        upload = begun(1)
        upload.send(2).must_be(416)
        answer = target.get(upload.location).must_be(204)
        answer.must_have_header("Range", f"0-{upload.end(0)}")
        upload.location = answer.location()
        for number in (1, 2):
            upload.location = accepted(upload.send(number), upload.end(number))
        uploads.must_be_stored(target, upload.close(), upload.blob)
    with run.check("nothing is lost after a refused closing PUT", CHUNKS):
        upload = begun(1)
        upload.close(2).must_be(416)
        answer = target.get(upload.location).must_be(204)
        answer.must_have_header("Range", f"0-{upload.end(0)}")
        upload.location = answer.location()
        upload.location = accepted(upload.send(1), upload.end(1))
        uploads.must_be_stored(target, upload.close(2), upload.blob)


def malformed_ranges(run: Run) -> None:
    """``Content-Range`` that is not ``first-last``, or not as long as the chunk."""
    target, repository = run.target, run.new_repository()
    for name, value in {
        "no number": "zero-1023",
        "no end": "0-",
        "end before the beginning": "9-0",
        "shorter than the chunk": "0-9",
        "longer than the chunk": "0-9999",
    }.items():
        with run.check(name, CHUNKS):
            upload = Upload(run, repository, "sha256")
            headers = {"Content-Type": OCTETS, "Content-Range": value}
            target.send("PATCH", upload.location, headers, upload.piece(0)).must_be(400, 416)


def status(run: Run) -> None:
    """GET of an upload, and resuming it."""
    target, repository = run.target, run.new_repository()
    with run.check("location is unique", POST_THEN_PUT):
        locations = {start(target, repository).location() for _number in range(2)}
        require(len(locations) == 2, "two uploads with the same Location")
    with run.check("before the first chunk", CHUNKS):
        upload = Upload(run, repository, "sha256")
        answer = target.get(upload.location).must_be(204)
        answer.location()
        require(answer.must_have_header("Range").startswith("0-"), f"{answer} with a Range that does not begin with 0-")
    for chunks in (1, 2):
        with run.check(f"after chunk {chunks}", CHUNKS):
            upload = Upload(run, repository, "sha256", chunks)
            answer = target.get(upload.location).must_be(204)
            answer.location()
            answer.must_have_header("Range", f"0-{upload.end(chunks - 1)}")
    with run.check("resume where the status says", CHUNKS):
        upload = Upload(run, repository, "sha256", 1)
        for number in (1, 2):
            answer = target.get(upload.location).must_be(204)
            last = int(answer.must_have_header("Range", f"0-{upload.end(number - 1)}").removeprefix("0-"))
            upload.location = answer.location()
            piece = upload.blob.body[last + 1 : last + 1 + upload.length]
            upload.location = accepted(patch(target, upload.location, piece, last + 1), upload.end(number))
        uploads.must_be_stored(target, upload.close(), upload.blob)
    with run.check("PATCH without Content-Range", CHUNKS):
        upload = Upload(run, repository, "sha256")
        for number in range(3):
            answer = target.send("PATCH", upload.location, {"Content-Type": OCTETS}, upload.piece(number))
            upload.location = accepted(answer, upload.end(number))
        uploads.must_be_stored(target, upload.close(), upload.blob)
    with run.check("a closed upload is gone", CHUNKS):
        upload = Upload(run, repository, "sha256", 3)
        upload.close().must_be(201)
        target.get(upload.location).must_be(404)


def errors(run: Run) -> None:
    """Digests and uploads that do not exist."""
    target, repository = run.target, run.new_repository()
    with run.check("push", POST_THEN_PUT):
        uploads.post_then_put(target, repository, random_blob(100))
    for name, digest in {
        "short digest": "sha256:baddigeststring",
        "no digest": "notadigest",
        "unknown algorithm": "md5:" + "0" * 32,
        "upper case": "sha256:" + "A" * 64,
        "empty digest": "",
    }.items():
        with run.check(f"closing PUT with {name}", PUSHING_BLOBS):
            upload = Upload(run, repository, "sha256", 3)
            answer = put(target, upload.location, digest)
            answer.must_be(400).must_have_code("DIGEST_INVALID", "BLOB_UPLOAD_INVALID", "UNSUPPORTED")
    with run.check("closing PUT without a digest", POST_THEN_PUT):
        upload = Upload(run, repository, "sha256", 3)
        answer = target.send("PUT", upload.location, {"Content-Type": OCTETS}).must_be(400)
        answer.must_have_code("DIGEST_INVALID", "BLOB_UPLOAD_INVALID")
    unknown = f"{uploads.uploads_url(repository)}{uuid.uuid4()}"
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        with run.check(f"{method} of an unknown upload", ERROR_CODES):
            url = uploads.with_query(unknown, digest=random_blob(1).digest) if method == "PUT" else unknown
            headers = {"Content-Type": OCTETS, "Content-Range": "0-0"} if method == "PATCH" else {}
            answer = target.send(method, url, headers, b"x" if method == "PATCH" else None)
            answer.must_be(404).must_have_code("BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID")
    with run.check("mount of an invalid digest", PUSHING_BLOBS):
        url = uploads.uploads_url(repository, mount="sha256:baddigeststring", **{"from": repository})
        # An upload may start instead, as for a blob that is not there.
        target.send("POST", url).must_be(202, 400)
