"""What a repository holds under a digest, whatever a descriptor says; and what manifests name, however odd they are."""

import json

import pytest

from registry_client import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    RegistryClient,
    RegistryUnavailable,
    UnreadableContent,
)
from tests.support.http_servers import Reply, Server, error_reply
from tests.support.pushed_images import push_blob, push_image

A, B = (f"sha256:{letter * 64}" for letter in "ab")
CLAIMS = ["", OCI_MANIFEST, OCI_INDEX, OCI_LAYER, "what/ever"]


@pytest.mark.parametrize("claim", CLAIMS)
class TestContentOf:
    def test_a_manifest(self, client, claim):
        pushed = push_image(client, "team/app", None)
        content = client.content_of("team/app", pushed.digest, claim)
        assert isinstance(content, Manifest) and content.digest == pushed.digest

    @pytest.mark.parametrize("blob", [b"a layer", b"{}", b"[1]", b"", b'{"schemaVersion":1}', b"{" * (5 << 20)])
    def test_a_blob(self, client, claim, blob):
        digest = push_blob(client, "team/app", blob)
        content = client.content_of("team/app", digest, claim)
        assert isinstance(content, Descriptor) and (content.digest, content.size) == (digest, len(blob))

    def test_nothing(self, client, claim):
        assert client.content_of("team/app", A, claim) is None
        assert client.content_of("team/none", A, claim) is None


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


class TestFailures:
    def answers(self, server, manifest, blob):
        server.answer = lambda request: manifest if "/manifests/" in request.path else blob
        with RegistryClient(server.url, retries=0) as client:
            return client.content_of("team/app", A, OCI_MANIFEST)

    @pytest.mark.parametrize(
        "manifest", [error_reply(500, "UNKNOWN"), Reply(200, b"x", {"Content-Type": OCI_MANIFEST})]
    )
    def test_something_that_cannot_be_given_out(self, server, manifest):
        with pytest.raises(UnreadableContent):
            self.answers(server, manifest, error_reply(404, "BLOB_UNKNOWN"))

    @pytest.mark.parametrize("status", [502, 503, 429])
    def test_a_registry_that_is_away(self, server, status):
        with pytest.raises(RegistryUnavailable):
            self.answers(server, error_reply(status, "X"), error_reply(status, "X"))


class TestEntries:
    def of(self, document, media_type=OCI_MANIFEST):
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        return [(one.digest, one.media_type, one.size) for one in Manifest("a/b", A, media_type, content).entries]

    def test_of_an_image(self):
        config, layer = (
            {"mediaType": OCI_CONFIG, "digest": A, "size": 1},
            {"mediaType": OCI_LAYER, "digest": B, "size": 2},
        )
        assert self.of({"config": config, "layers": [layer, layer]}) == [(A, OCI_CONFIG, 1), (B, OCI_LAYER, 2)]

    def test_of_an_index(self):
        document = {"manifests": [{"mediaType": OCI_LAYER, "digest": B, "size": 2}], "config": {"digest": A}}
        assert self.of(document, OCI_INDEX) == [(B, OCI_LAYER, 2)]

    @pytest.mark.parametrize("size", [-1, 1 << 63, "5", None, True, 1.5])
    def test_a_size_that_cannot_be_true(self, size):
        assert self.of({"layers": [{"digest": A, "size": size, "mediaType": OCI_LAYER}]}) == [(A, OCI_LAYER, 0)]

    @pytest.mark.parametrize("media_type", [5, None, "a\0b", "\ud800"])
    def test_a_media_type_that_is_none(self, media_type):
        assert self.of({"layers": [{"digest": A, "size": 1, "mediaType": media_type}]}) == [(A, "", 1)]

    @pytest.mark.parametrize("entry", [5, "x", None, [], {}, {"digest": "x"}, {"digest": 5}, {"digest": A.upper()}])
    def test_what_has_no_digest_is_left_out(self, entry):
        assert self.of({"config": entry, "layers": [entry, {"digest": B, "size": 1}]}) == [(B, "", 1)]

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"[" * 100_000, {"layers": {}}, {"layers": 5}])
    def test_of_what_is_no_manifest(self, content):
        assert self.of(content) == []

    @pytest.mark.parametrize("subject", [5, "x", [], {}, {"digest": "x"}])
    def test_a_subject_that_is_none(self, subject):
        assert Manifest("a/b", A, OCI_MANIFEST, json.dumps({"subject": subject}).encode()).subject_digest == ""
        assert Manifest("a/b", A, OCI_MANIFEST, b"{").subject_digest == ""

    def test_a_subject_of_a_size_that_cannot_be_true(self):
        content = json.dumps({"subject": {"digest": B, "size": -1}}).encode()
        assert Manifest("a/b", A, OCI_MANIFEST, content).subject_digest == B
