"""Ping, lists, manifests: at a real registry, and at one that answers what no registry should."""

import itertools
import json

import pytest

from registry_client import (
    DOCKER_MANIFEST,
    MANIFEST_MEDIA_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Digest,
    DigestMismatch,
    ManifestUnknown,
    NameUnknown,
    RegistryClient,
    UnexpectedAnswer,
)
from tests.support.http_servers import Reply, json_reply
from tests.support.pushed_images import digest_of, push_image

CONTENT = b'{"schemaVersion": 2}'
DIGEST = digest_of(CONTENT)


def manifest_reply(content=CONTENT, digest=DIGEST, media_type=OCI_MANIFEST, **headers):
    return Reply(200, content, {"Content-Type": media_type, "Docker-Content-Digest": digest, **headers})


def test_ping(client):
    client.ping()


@pytest.mark.parametrize("reply", [Reply(200, b"<html>", {"Content-Type": "text/html; charset=utf-8"}), Reply(204)])
def test_ping_something_else(server, faulty, reply):
    server.replies(reply)
    with pytest.raises(UnexpectedAnswer):
        faulty.ping()


def test_catalog(client, repository):
    names = [f"{repository}/{number}" for number in range(5)]
    for name in names:
        push_image(client, name, "1")
    for page_size in (1, 2, 1000):
        listed = list(client.catalog(page_size))
        assert [name for name in listed if name.startswith(f"{repository}/")] == names
        assert len(listed) == len(set(listed))


def test_catalog_after_a_name(client, repository):
    for name in ("a", "b", "b/c", "d"):
        push_image(client, f"{repository}/{name}", "1")
    for after, first in [("", "a"), ("a", "b"), ("b/", "b/c"), ("b", "b/c"), ("c & n=9", "d")]:
        assert next(client.catalog(1, f"{repository}/{after}")) == f"{repository}/{first}"


def test_catalog_fetches_pages_as_they_are_wanted(server, faulty):
    link = {"Link": '</v2/_catalog?last=b&n=2>; rel="next"'}
    server.replies(json_reply({"repositories": ["a", "b"]}, **link))
    assert list(itertools.islice(faulty.catalog(2), 2)) == ["a", "b"]
    assert [request.target for request in server.requests] == ["/v2/_catalog?n=2"]


def test_catalog_with_a_page_size_that_is_none(client):
    with pytest.raises(ValueError):
        client.catalog(0)


@pytest.mark.parametrize(
    ("link", "followed"),
    [
        ('</v2/_catalog?last=b&n=2>; rel="next"', "/v2/_catalog?last=b&n=2"),
        ("<?last=b&n=2>; rel=next", "/v2/_catalog?last=b&n=2"),
        ('<https://elsewhere.example:444/v2/_catalog?last=b>; rel="next"', "/v2/_catalog?last=b"),
        ('<//elsewhere.example/v2/_catalog?last=b>; rel="next"', "/v2/_catalog?last=b"),
        ('</first>; rel="prev", </v2/_catalog?last=c>; title="x"; REL="Next"', None),
        ('</first>; rel="prev", </v2/_catalog?last=c>; title="x"; rel="last Next"', "/v2/_catalog?last=c"),
        ('</v2/_catalog?last=b>; rel="prev"', None),
        ("</v2/_catalog?last=b>", None),
        ("nonsense", None),
    ],
)
def test_where_a_link_leads(server, faulty, link, followed):
    """Only path and query of it count: no answer sends us, and our token, to another host."""
    server.replies(json_reply({"repositories": ["a"]}, Link=link), json_reply({"repositories": None}))
    assert list(faulty.catalog(2)) == ["a"]
    assert [request.target for request in server.requests] == ["/v2/_catalog?n=2", *([followed] if followed else [])]


@pytest.mark.parametrize("link", ["<http://[>; rel=next", "<>; rel=next", "<mailto:x>; rel=next"])
def test_a_link_that_leads_nowhere(server, faulty, link):
    server.replies(json_reply({"repositories": ["a"]}, Link=link))
    with pytest.raises(UnexpectedAnswer):
        list(faulty.catalog())


def test_pages_that_go_round_in_a_circle(server, faulty):
    def answer(request):
        other = "b" if request.query.get("last") == ["a"] else "a"
        return json_reply({"repositories": ["x"]}, Link=f"</v2/_catalog?last={other}>; rel=next")

    server.answer = answer
    with pytest.raises(UnexpectedAnswer, match="circle"):
        list(faulty.catalog())


def test_tags(client, repository):
    for tag in ("b", "a", "1.0_x-Y"):
        push_image(client, repository, tag)
    assert sorted(client.tags(repository)) == ["1.0_x-Y", "a", "b"]


def test_tags_of_an_unknown_repository(client, repository):
    with pytest.raises(NameUnknown) as caught:
        client.tags(repository)
    assert (caught.value.status, caught.value.code) == (404, "NAME_UNKNOWN")
    assert caught.value.detail == {"name": repository}


def test_tags_after_the_last_is_gone(client, repository):
    """The registry says ``"tags": null`` then."""
    client.delete_manifest(repository, push_image(client, repository, "1").digest)
    assert client.tags(repository) == []


def test_tags_in_pages(server, faulty):
    server.replies(
        json_reply({"name": "a", "tags": ["1"]}, Link="</v2/a/tags/list?last=1>; rel=next"),
        json_reply({"name": "a", "tags": ["2"]}),
    )
    assert faulty.tags("a") == ["1", "2"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>hello</html>", {"Content-Type": "text/html"}),
        Reply(200, b""),
        Reply(200, b"\xff\xfe"),
        Reply(200, b"[" * 100_000),
        json_reply([]),
        json_reply({"tags": "1"}),
        json_reply({"tags": {"1": 1}}),
        json_reply({"tags": [1]}),
        json_reply({"tags": [None]}),
        json_reply({"tags": ["1"]}, 206),
        Reply(204),
    ],
)
def test_tags_of_the_wrong_shape(server, faulty, reply):
    server.replies(reply)
    with pytest.raises(UnexpectedAnswer) as caught:
        faulty.tags("a")
    assert str(caught.value).startswith("GET /v2/a/tags/list: 2")


def test_many_tags_in_one_answer(server, faulty):
    tags = [f"{'x' * 100}{number}" for number in range(100_000)]
    server.replies(json_reply({"name": "a", "tags": tags}))
    assert faulty.tags("a") == tags


def test_resolve(client, repository):
    pushed = push_image(client, repository, "1")
    expected = Descriptor(pushed.digest, DOCKER_MANIFEST, len(pushed.content))
    assert client.resolve(repository, "1") == expected == client.resolve(repository, pushed.digest)


def test_manifest(client, repository):
    pushed = push_image(client, repository, "1")
    for reference in ("1", pushed.digest):
        manifest = client.manifest(repository, reference)
        assert (manifest.repository, manifest.digest) == (repository, pushed.digest)
        assert (manifest.media_type, manifest.content) == (DOCKER_MANIFEST, pushed.content)
        assert list(manifest.references) == pushed.blobs and manifest.total_size == pushed.size


@pytest.mark.parametrize("media_type", [OCI_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"])
def test_an_index_is_not_converted_to_one_of_its_children(client, repository, media_type):
    child = push_image(client, repository, None)
    platform = {"os": "linux", "architecture": "amd64"}
    entry = {"mediaType": DOCKER_MANIFEST, "digest": child.digest, "size": len(child.content), "platform": platform}
    content = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": [entry]}).encode()
    digest = client.put_manifest(repository, "multi", content, media_type)
    assert client.resolve(repository, "multi") == Descriptor(digest, media_type, len(content))
    index = client.manifest(repository, "multi")
    assert index.is_index and index.content == content and index.references == (child.digest,)
    assert str(index.children[0].platform) == "linux/amd64"


def test_all_media_types_are_always_accepted(server, faulty):
    server.replies(manifest_reply())
    faulty.resolve("a", "1")
    faulty.manifest("a", "1")
    for request in server.requests:
        assert set(request.headers["Accept"].split(", ")) == set(MANIFEST_MEDIA_TYPES)
        assert request.headers["User-Agent"] == "my-images" and request.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("reference", ["nothing", DIGEST])
def test_an_unknown_manifest(client, repository, reference):
    push_image(client, repository, "1")
    for call in (client.resolve, client.manifest):
        for name in (repository, f"{repository}/nothing"):
            with pytest.raises(ManifestUnknown) as caught:
                call(name, reference)
            assert (caught.value.status, caught.value.code) == (404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize("left_out", ["Docker-Content-Digest", "Content-Length"])
def test_resolve_without_a_header_that_may_be_left_out(server, faulty, left_out):
    def answer(request):
        reply = manifest_reply()
        if left_out == "Docker-Content-Digest" or request.method == "HEAD":
            reply.headers[left_out] = None
        return reply

    server.answer = answer
    assert faulty.resolve("a", "1") == Descriptor(DIGEST, OCI_MANIFEST, len(CONTENT))
    assert [request.method for request in server.requests] == ["HEAD", "GET"]


@pytest.mark.parametrize(
    ("reply", "reference"),
    [
        (manifest_reply(b'{"schemaVersion": 3}'), "1"),
        (manifest_reply(b'{"schemaVersion": 3}'), DIGEST),
        (manifest_reply(b"{}", digest_of(b"{}")), DIGEST),
        (manifest_reply(b"{}", digest_of(b"{}")), Digest.of(CONTENT, "sha512")),
    ],
)
def test_content_that_has_another_digest(server, faulty, reply, reference):
    server.replies(reply)
    with pytest.raises(DigestMismatch):
        faulty.manifest("a", reference)


def test_resolve_to_another_digest(server, faulty):
    server.replies(manifest_reply(b"{}", digest_of(b"{}")))
    with pytest.raises(DigestMismatch):
        faulty.resolve("a", DIGEST)


def test_content_under_a_digest_of_another_algorithm(server, faulty):
    asked = Digest.of(CONTENT, "sha512")
    server.replies(manifest_reply())
    assert faulty.manifest("a", asked).digest == asked
    assert faulty.resolve("a", asked).digest == asked


@pytest.mark.parametrize(
    "reply",
    [
        manifest_reply(media_type="text/html"),
        manifest_reply(media_type="application/xhtml+xml"),
        manifest_reply(media_type=None),
        manifest_reply(digest="nonsense"),
        manifest_reply(digest="md5:0123"),
        Reply(301, b"", {"Location": "/v2/b/manifests/1"}),
    ],
)
def test_an_answer_that_is_no_manifest(server, faulty, reply):
    server.replies(reply)
    for call in (faulty.resolve, faulty.manifest):
        with pytest.raises(UnexpectedAnswer):
            call("a", "1")
    assert len(server.requests) == 2


def test_media_types_have_parameters(server, faulty):
    server.replies(manifest_reply(media_type=f"{OCI_MANIFEST.upper()}; charset=utf-8"))
    assert faulty.manifest("a", "1").media_type == OCI_MANIFEST == faulty.resolve("a", "1").media_type


def test_a_manifest_of_4_mib(client, repository):
    blob = push_image(client, repository, "1")
    start = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": None, "layers": []}
    start["config"] = {"mediaType": "application/x", "digest": blob.blobs[0], "size": 1}
    start["annotations"] = {"a": ""}
    start["annotations"]["a"] = "x" * ((4 << 20) - len(json.dumps(start)))
    content = json.dumps(start).encode()
    assert len(content) == 4 << 20
    client.put_manifest(repository, "large", content, OCI_MANIFEST)
    assert client.manifest(repository, "large").content == content


@pytest.mark.parametrize("headers", [{}, {"Content-Length": None, "Connection": "close"}])
def test_an_oversized_manifest_is_not_read(server, headers):
    content = b'{"a": "' + b"x" * (5 << 20) + b'"}'
    reply = manifest_reply(content, digest_of(content), **headers)
    # The end of the connection is the end of a body of no declared length.
    reply.cut = len(content)
    server.replies(reply)
    with RegistryClient(server.url) as client, pytest.raises(UnexpectedAnswer, match="larger"):
        client.manifest("a", "1")
