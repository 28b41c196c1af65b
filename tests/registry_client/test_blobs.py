"""Reading blobs, streamed and whole."""

import os
import tracemalloc

import pytest
from urllib3.util import connection

from registry_client import (
    BlobUnknown,
    Descriptor,
    DigestMismatch,
    RegistryClient,
    RegistryUnavailable,
    UnexpectedAnswer,
)
from tests.support.http_servers import Reply, Server, error_reply, wait_until
from tests.support.pushed_images import digest_of, push_blob

CONTENT = b"blob" * 1000
DIGEST = digest_of(CONTENT)


@pytest.fixture
def connections_made(monkeypatch):
    """Counts the TCP connections that are opened."""
    opened = []
    create = connection.create_connection

    def counting(*args, **options):
        opened.append(args)
        return create(*args, **options)

    monkeypatch.setattr(connection, "create_connection", counting)
    return opened


def test_stat_blob(client, repository):
    digest = push_blob(client, repository, CONTENT)
    assert client.stat_blob(repository, digest) == Descriptor(digest, "application/octet-stream", len(CONTENT))


def test_stat_blob_larger_than_any_answer_that_is_read(server, faulty):
    server.replies(Reply(200, b"", {"Content-Length": str(1 << 40)}))
    assert faulty.stat_blob("a", DIGEST).size == 1 << 40


@pytest.mark.parametrize("length", [None, "nonsense", "9" * 30, "-1"])
def test_stat_blob_of_unknown_size(server, faulty, length):
    server.replies(Reply(200, b"", {"Content-Length": length}))
    with pytest.raises((UnexpectedAnswer, RegistryUnavailable)):
        faulty.stat_blob("a", DIGEST)


def test_an_unknown_blob(client, repository):
    push_blob(client, repository, b"another")
    for call in (
        client.stat_blob,
        lambda *names: list(client.blob(*names)),
        lambda *names: client.read_blob(*names, 9),
    ):
        for name in (repository, f"{repository}/nothing"):
            with pytest.raises(BlobUnknown) as caught:
                call(name, DIGEST)
            assert (caught.value.status, caught.value.code) == (404, "BLOB_UNKNOWN")


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 250_000])
def test_blob(client, repository, size):
    content = os.urandom(size)
    digest = push_blob(client, repository, content)
    pieces = list(client.blob(repository, digest, chunk_size=1000))
    assert b"".join(pieces) == content and all(0 < len(piece) <= 1000 for piece in pieces)
    assert client.read_blob(repository, digest, size) == content


def test_read_blob_above_the_limit(client, repository):
    digest = push_blob(client, repository, CONTENT)
    with pytest.raises(UnexpectedAnswer, match="larger than 3999 bytes"):
        client.read_blob(repository, digest, 3999)
    assert client.read_blob(repository, digest, 4000) == CONTENT


def test_nothing_is_sent_before_the_first_piece_is_wanted(server, faulty):
    server.replies(Reply(200, CONTENT))
    pieces = faulty.blob("a", DIGEST)
    assert server.requests == []
    assert b"".join(pieces) == CONTENT


def test_a_large_blob_needs_little_memory(client, repository):
    size = 32 << 20
    digest = push_blob(client, repository, bytes(size))
    tracemalloc.start()
    try:
        assert sum(len(piece) for piece in client.blob(repository, digest)) == size
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("wrong", [CONTENT[:-1] + b"x", b"", CONTENT + b"x", CONTENT[:-1]])
def test_wrong_content(server, faulty, wrong):
    server.replies(Reply(200, wrong))
    with pytest.raises(DigestMismatch):
        list(faulty.blob("a", DIGEST))
    with pytest.raises(DigestMismatch) as caught:
        faulty.read_blob("a", DIGEST, 10_000)
    assert str(caught.value).startswith(f"GET /v2/a/blobs/{DIGEST}: ")


@pytest.mark.parametrize("cut", [0, 1, 3999])
def test_a_blob_that_breaks_off(server, faulty, cut):
    server.replies(Reply(200, CONTENT, cut=cut))
    with pytest.raises(RegistryUnavailable):
        list(faulty.blob("a", DIGEST))


def test_a_blob_of_broken_encoding(server, faulty):
    server.replies(Reply(200, CONTENT, {"Content-Encoding": "gzip"}))
    with pytest.raises(UnexpectedAnswer):
        list(faulty.blob("a", DIGEST))


def test_a_consumer_that_stops_early_leaves_no_connection_behind(server, faulty):
    """What is left is not read to free the connection either: the server could go on for ever."""
    server.replies(Reply(200, CONTENT, {"Content-Length": str(1 << 40)}))
    for _ in range(3):
        pieces = faulty.blob("a", DIGEST, chunk_size=10)
        assert next(pieces) == CONTENT[:10]
        pieces.close()
        with pytest.raises(UnexpectedAnswer):
            faulty.read_blob("a", DIGEST, 10)
    assert wait_until(lambda: server.open_connections == 0)
    server.replies(Reply(200, CONTENT))
    assert b"".join(faulty.blob("a", DIGEST)) == CONTENT


def test_a_whole_blob_frees_its_connection(client, repository, connections_made):
    digest = push_blob(client, repository, CONTENT)
    client.ping()
    connections_made.clear()
    for _ in range(5):
        assert b"".join(client.blob(repository, digest, chunk_size=7)) == CONTENT
        client.stat_blob(repository, digest)
    assert connections_made == []


def test_a_redirect_to_an_object_store_is_followed_without_our_token(server):
    store = Server(lambda request: Reply(200, CONTENT))
    try:

        class Seam:
            def authorization(self, scopes, challenge):
                return "Bearer secret"

        server.answer = lambda request: (
            Reply(307, b"see there", {"Location": f"{store.url}/bucket/x?signature=1"})
            if request.path.endswith("/step")
            else Reply(302, b"", {"Location": "/v2/step"})
        )
        with RegistryClient(server.url, Seam()) as client:
            assert client.read_blob("a", DIGEST, 4000) == CONTENT
            assert client.stat_blob("a", DIGEST).size == 4000
        assert [request.method for request in store.requests] == ["GET", "HEAD"]
        assert {request.target for request in store.requests} == {"/bucket/x?signature=1"}
        assert all("Authorization" not in request.headers for request in store.requests)
        assert all(request.headers["Authorization"] == "Bearer secret" for request in server.requests)
        # The wrong content of an object store is found out like a registry's.
        store.answer = lambda request: Reply(200, b"x" * 4000)
        with RegistryClient(server.url) as client, pytest.raises(DigestMismatch):
            client.read_blob("a", DIGEST, 4000)
        store.answer = lambda request: error_reply(403, "AccessDenied")
        with RegistryClient(server.url) as client, pytest.raises(Exception, match="403"):
            client.read_blob("a", DIGEST, 4000)
    finally:
        store.close()


@pytest.mark.parametrize(
    "location",
    ["", None, "ftp://x/y", "file:///etc/passwd", "http://[", "http:///x", "http://user:secret@127.0.0.1:1/"],
)
def test_a_redirect_that_is_not_followed(server, faulty, location):
    server.replies(Reply(302, b"", {"Location": location}))
    with pytest.raises(UnexpectedAnswer) as caught:
        faulty.read_blob("a", DIGEST, 4000)
    assert "secret" not in str(caught.value)


def test_the_body_of_a_redirect_is_not_read(server):
    """It would not end."""
    endless = {"Content-Length": str(1 << 40)}
    server.replies(Reply(302, b"x", {"Location": "/v2/there", **endless}), Reply(200, CONTENT))
    with RegistryClient(server.url, read_timeout=20, retries=0) as client:
        assert client.read_blob("a", DIGEST, 4000) == CONTENT
        server.replies(Reply(302, b"x", {"Location": "/v2/there", **endless}))
        with pytest.raises(UnexpectedAnswer, match="redirect"):
            client.tags("a")


def test_redirects_without_end(server, faulty):
    server.replies(Reply(302, b"", {"Location": "/again?signature=secret"}))
    with pytest.raises(UnexpectedAnswer) as caught:
        list(faulty.blob("a", DIGEST))
    assert len(server.requests) == 6 and "secret" not in str(caught.value)


def test_only_blobs_are_redirected(server, faulty):
    store = Server(lambda request: Reply(200, b"{}", {"Content-Type": "application/json"}))
    try:
        server.replies(Reply(307, b"", {"Location": f"{store.url}/x"}))
        for call in (
            faulty.ping,
            lambda: list(faulty.catalog()),
            lambda: faulty.tags("a"),
            lambda: faulty.resolve("a", "1"),
            lambda: faulty.manifest("a", "1"),
            lambda: faulty.put_manifest("a", "1", b"{}", "application/json"),
            lambda: faulty.delete_manifest("a", DIGEST),
            lambda: faulty.delete_blob("a", DIGEST),
            lambda: faulty.upload_blob("a", DIGEST, [CONTENT]),
            lambda: faulty.mount_blob("a", DIGEST, "b"),
        ):
            with pytest.raises(UnexpectedAnswer, match="307"):
                call()
        assert store.requests == []
    finally:
        store.close()
