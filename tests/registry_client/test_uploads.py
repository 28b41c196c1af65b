"""Uploading and mounting blobs."""

import hashlib
import os
import tracemalloc

import pytest

from registry_client import (
    BlobUnknown,
    DigestMismatch,
    RegistryClient,
    RegistryError,
    RegistryUnavailable,
    UnexpectedAnswer,
)
from tests.support.http_servers import Reply, error_reply, running_registry
from tests.support.pushed_images import digest_of, push_blob

CONTENT = b"blob" * 1000
DIGEST = digest_of(CONTENT)


@pytest.fixture
def own(registry_program, tmp_path):
    """A registry of this test alone, and a look into its storage: which uploads are unfinished."""
    with running_registry(registry_program, tmp_path) as url, RegistryClient(url) as client:

        def unfinished():
            return [path.parent.name for path in tmp_path.glob("storage/**/_uploads/*/startedat")]

        yield client, unfinished


@pytest.mark.parametrize(
    "chunks",
    [
        [CONTENT],
        [],
        [b""],
        [b"", CONTENT, b""],
        [CONTENT[:1], CONTENT[1:]],
        [bytearray(CONTENT)],
        (b"x" for _ in "abc"),
    ],
)
@pytest.mark.parametrize("with_size", [True, False])
def test_upload_blob(client, repository, chunks, with_size):
    chunks = list(chunks)
    content = b"".join(chunks)
    size = len(content) if with_size else None
    client.upload_blob(repository, digest_of(content), iter(chunks), size)
    assert client.read_blob(repository, digest_of(content), len(content)) == content


def test_upload_blob_by_sha512(client, repository):
    digest = "sha512:" + hashlib.sha512(CONTENT).hexdigest()
    client.upload_blob(repository, digest, [CONTENT])
    assert client.read_blob(repository, digest, 4000) == CONTENT


def test_upload_blob_leaves_nothing_unfinished(own):
    client, unfinished = own
    client.upload_blob("a", DIGEST, [CONTENT])
    client.upload_blob("a", DIGEST, [CONTENT])
    assert unfinished() == []


def test_a_large_upload_needs_little_memory(client, repository):
    piece, count = os.urandom(1 << 16), 512
    digest = digest_of(piece * count)
    tracemalloc.start()
    try:
        client.upload_blob(repository, digest, (bytes(piece) for _ in range(count)), len(piece) * count)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert client.stat_blob(repository, digest).size == len(piece) * count


class SourceBroke(Exception):
    pass


@pytest.mark.parametrize("failure", [SourceBroke, OSError, TimeoutError, KeyboardInterrupt, RegistryUnavailable])
@pytest.mark.parametrize("sent", [0, 10, 3_000_000])
def test_a_source_that_raises_cancels_the_upload(own, failure, sent):
    client, unfinished = own
    seen = []

    def chunks():
        if sent:
            yield os.urandom(sent)
        seen.extend(unfinished())
        raise failure("the source broke")

    with pytest.raises(failure, match="the source broke"):
        client.upload_blob("a", DIGEST, chunks())
    assert len(seen) == 1 and unfinished() == []
    with pytest.raises(BlobUnknown):
        client.stat_blob("a", DIGEST)
    client.upload_blob("a", DIGEST, [CONTENT])


@pytest.mark.parametrize(
    ("chunks", "size"),
    [
        ([b"other"], None),
        ([], None),
        ([CONTENT], 3999),
        ([CONTENT], 4001),
        ([CONTENT, b"x"], 4000),
        ([CONTENT, b"x"], None),
        ([], 4000),
    ],
)
def test_a_source_that_gives_something_else_cancels_the_upload(own, chunks, size):
    client, unfinished = own
    with pytest.raises(DigestMismatch):
        client.upload_blob("a", DIGEST, chunks, size)
    assert unfinished() == []
    with pytest.raises(BlobUnknown):
        client.stat_blob("a", DIGEST)


def test_a_source_is_not_read_on_when_it_gives_too_much(client, repository):
    given = []

    def endless():
        while True:
            given.append(1)
            yield bytes(1000)

    with pytest.raises(DigestMismatch):
        client.upload_blob(repository, DIGEST, endless(), 5000)
    assert len(given) == 6


def test_a_registry_that_dies_during_an_upload(registry_program, tmp_path):
    with running_registry(registry_program, tmp_path, kill=True) as (url, kill):

        def chunks():
            yield CONTENT
            kill()
            while True:
                yield bytes(1 << 16)

        with RegistryClient(url, retries=0) as client, pytest.raises(RegistryUnavailable) as caught:
            client.upload_blob("a", DIGEST, chunks())
        assert caught.value.request.startswith("PATCH /v2/a/blobs/uploads/")


def upload_answers(server, **replies):
    """A registry's answers to an upload, apart from those given."""
    usual = {
        "POST": Reply(202, b"", {"Location": "http://elsewhere.example/v2/a/blobs/uploads/1?_state=x"}),
        "PATCH": Reply(202, b"", {"Location": "/v2/a/blobs/uploads/2?_state=y%2Fz"}),
        "PUT": Reply(201),
        "DELETE": Reply(204),
        **replies,
    }
    server.answer = lambda request: usual[request.method]


def test_where_an_upload_goes(server, faulty):
    """Where the registry says, but never to another host, and the digest is added to what it says."""
    upload_answers(server)
    faulty.upload_blob("a", DIGEST, [CONTENT])
    assert [(request.method, request.target) for request in server.requests] == [
        ("POST", "/v2/a/blobs/uploads/"),
        ("PATCH", "/v2/a/blobs/uploads/1?_state=x"),
        ("PUT", f"/v2/a/blobs/uploads/2?_state=y%2Fz&digest={DIGEST.replace(':', '%3A')}"),
    ]
    assert server.requests[1].body == CONTENT
    assert server.requests[1].headers["Content-Type"] == "application/octet-stream"
    upload_answers(server, PATCH=Reply(202, b"", {"Location": "3"}))
    faulty.upload_blob("a", DIGEST, [CONTENT])
    assert server.requests[-1].path == "/v2/a/blobs/uploads/3" and server.requests[-1].query == {"digest": [DIGEST]}


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
@pytest.mark.parametrize("status", [500, 503, 429])
def test_no_step_of_an_upload_is_repeated(server, faulty, method, status):
    upload_answers(server, **{method: error_reply(status, "UNKNOWN")})
    with pytest.raises(RegistryUnavailable) as caught:
        faulty.upload_blob("a", DIGEST, [CONTENT])
    assert caught.value.status == status and caught.value.request.startswith(method)
    methods = [request.method for request in server.requests]
    assert (
        methods
        == {
            "POST": ["POST"],
            "PATCH": ["POST", "PATCH", "DELETE"],
            "PUT": ["POST", "PATCH", "PUT", "DELETE"],
        }[method]
    )


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_no_step_of_an_upload_is_repeated_when_the_connection_breaks(server, method):
    def answer(request):
        return Reply(202, b"", {"Location": "/v2/x"}) if request.method != method else Reply(0, cut=0)

    server.answer = answer
    with RegistryClient(server.url, read_timeout=5) as client, pytest.raises((RegistryUnavailable, RegistryError)):
        client.upload_blob("a", DIGEST, [CONTENT])
    assert [request.method for request in server.requests].count(method) == 1


@pytest.mark.parametrize(
    "replies",
    [
        {"POST": Reply(202)},
        {"POST": Reply(201, b"", {"Location": "/v2/a/blobs/x"})},
        {"POST": Reply(202, b"", {"Location": "http://["})},
        {"POST": Reply(202, b"", {"Location": "mailto:x"})},
        {"PATCH": Reply(202)},
        {"PATCH": Reply(200)},
        {"PUT": Reply(202)},
    ],
)
def test_an_upload_answered_by_no_registry(server, faulty, replies):
    upload_answers(server, **replies)
    with pytest.raises(UnexpectedAnswer):
        faulty.upload_blob("a", DIGEST, [CONTENT])
    assert ("DELETE" in [request.method for request in server.requests]) == ("POST" not in replies)


def test_a_cancellation_that_fails_hides_nothing(server, faulty):
    upload_answers(server, PUT=error_reply(400, "DIGEST_INVALID"), DELETE=error_reply(500, "UNKNOWN"))
    with pytest.raises(RegistryError) as caught:
        faulty.upload_blob("a", DIGEST, [CONTENT])
    assert caught.value.code == "DIGEST_INVALID"


def test_a_streamed_body_that_is_refused_is_not_sent_again(server):
    class Seam:
        tokens = 0

        def authorization(self, scopes, challenge):
            self.tokens += 1
            return f"Bearer {self.tokens}"

    upload_answers(server, PATCH=error_reply(401, "UNAUTHORIZED"))
    with RegistryClient(server.url, Seam()) as client, pytest.raises(RegistryError) as caught:
        client.upload_blob("a", DIGEST, iter([CONTENT]))
    assert caught.value.status == 401
    assert [request.method for request in server.requests] == ["POST", "PATCH", "DELETE"]


def test_start_upload(own):
    client, unfinished = own
    path, _, query = client.start_upload("team/app").partition("?")
    assert path.rpartition("/")[0] == "/v2/team/app/blobs/uploads"
    assert query.startswith("_state=")
    assert unfinished() == [path.rpartition("/")[2]]


def test_mount_blob(client, repository):
    digest = push_blob(client, repository, CONTENT)
    other = f"{repository}/other"
    assert client.mount_blob(other, digest, repository) is True
    assert client.read_blob(other, digest, 4000) == CONTENT


def test_mount_blob_that_the_source_does_not_have(own):
    client, unfinished = own
    client.upload_blob("source", DIGEST, [CONTENT])
    assert client.mount_blob("target", digest_of(b"other"), "source") is False
    assert client.mount_blob("target", DIGEST, "nothing") is False
    assert unfinished() == []
    with pytest.raises(BlobUnknown):
        client.stat_blob("target", DIGEST)


def test_mount_blob_names_blob_and_source(server, faulty):
    server.replies(Reply(201))
    assert faulty.mount_blob("target", DIGEST, "my/source")
    assert server.requests[0].query == {"mount": [DIGEST], "from": ["my/source"]}
