"""Putting and deleting manifests, deleting blobs."""

import json

import pytest

from registry_client import (
    DOCKER_MANIFEST,
    OCI_MANIFEST,
    BlobUnknown,
    Digest,
    DigestMismatch,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
    RegistryClient,
    RegistryError,
    UnexpectedAnswer,
    Unsupported,
)
from tests.support.http_servers import Reply, running_registry
from tests.support.pushed_images import digest_of, push_image

UNKNOWN = digest_of(b"nobody has this")


def test_put_manifest(client, repository):
    pushed = push_image(client, repository, "1")
    assert pushed.digest == digest_of(pushed.content)
    assert client.put_manifest(repository, "2", pushed.content, DOCKER_MANIFEST) == pushed.digest
    assert client.put_manifest(repository, pushed.digest, pushed.content, DOCKER_MANIFEST) == pushed.digest
    assert sorted(client.tags(repository)) == ["1", "2"]


def test_put_manifest_moves_a_tag(client, repository):
    first, second = push_image(client, repository, "1"), push_image(client, repository, "1")
    assert first.digest != second.digest == client.resolve(repository, "1").digest
    assert client.manifest(repository, first.digest).content == first.content


def test_put_manifest_of_an_unknown_blob(client, repository):
    push_image(client, repository, "1")
    layer = {"mediaType": "application/x", "digest": UNKNOWN, "size": 5}
    content = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": layer, "layers": [layer]}).encode()
    with pytest.raises(ManifestBlobUnknown) as caught:
        client.put_manifest(repository, "2", content, OCI_MANIFEST)
    assert (caught.value.status, caught.value.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert caught.value.detail == UNKNOWN
    assert client.tags(repository) == ["1"]


def test_put_manifest_that_is_none(client, repository):
    with pytest.raises(RegistryError) as caught:
        client.put_manifest(repository, "1", b"nonsense", OCI_MANIFEST)
    assert type(caught.value) is RegistryError and caught.value.code == "MANIFEST_INVALID"


def test_put_manifest_under_the_digest_of_another(server, faulty):
    with pytest.raises(DigestMismatch):
        faulty.put_manifest("a", UNKNOWN, b"{}", OCI_MANIFEST)
    assert server.requests == []


@pytest.mark.parametrize("media_type", ["", "json", "a/b\r\nX-Injected: 1", "a/b; charset=utf-8", "a/ä", "text/"])
def test_put_manifest_of_no_media_type(server, faulty, media_type):
    with pytest.raises(ValueError):
        faulty.put_manifest("a", "1", b"{}", media_type)
    assert server.requests == []


@pytest.mark.parametrize(
    ("headers", "reference", "expected"),
    [
        ({}, "1", digest_of(b"{}")),
        ({}, Digest.of(b"{}", "sha512"), Digest.of(b"{}", "sha512")),
        ({"Docker-Content-Digest": digest_of(b"{}")}, "1", digest_of(b"{}")),
        ({"Docker-Content-Digest": UNKNOWN}, "1", DigestMismatch),
        ({"Docker-Content-Digest": "nonsense"}, "1", UnexpectedAnswer),
    ],
)
def test_what_the_registry_says_it_stored(server, faulty, headers, reference, expected):
    server.replies(Reply(201, b"", headers))
    if isinstance(expected, str):
        assert faulty.put_manifest("a", reference, b"{}", OCI_MANIFEST) == expected
    else:
        with pytest.raises(expected):
            faulty.put_manifest("a", reference, b"{}", OCI_MANIFEST)
    (request,) = server.requests
    assert (request.method, request.body, request.headers["Content-Type"]) == ("PUT", b"{}", OCI_MANIFEST)


def test_delete_manifest_removes_each_tag_that_points_at_it(client, repository):
    shared, other = push_image(client, repository, "1"), push_image(client, repository, "other")
    client.put_manifest(repository, "2", shared.content, DOCKER_MANIFEST)
    client.delete_manifest(repository, shared.digest)
    assert client.tags(repository) == ["other"]
    for reference in ("1", "2", shared.digest):
        with pytest.raises(ManifestUnknown):
            client.resolve(repository, reference)
    assert client.resolve(repository, other.digest)


def test_delete_manifest_leaves_other_repositories_alone(client, repository):
    one = push_image(client, repository, "1", layers=[b"same"], config={"same": True})
    two = push_image(client, f"{repository}/b", "1", layers=[b"same"], config={"same": True})
    assert one.digest == two.digest
    client.delete_manifest(repository, one.digest)
    assert client.resolve(f"{repository}/b", "1").digest == two.digest
    assert client.read_blob(f"{repository}/b", two.blobs[1], 100) == b"same"


def test_a_deleted_manifest_can_be_put_again(client, repository):
    pushed = push_image(client, repository, "1")
    client.delete_manifest(repository, pushed.digest)
    client.put_manifest(repository, "1", pushed.content, DOCKER_MANIFEST)
    assert client.manifest(repository, "1").content == pushed.content


def test_delete_manifest_that_is_not_there(client, repository):
    with pytest.raises((NameUnknown, ManifestUnknown)):
        client.delete_manifest(repository, UNKNOWN)
    pushed = push_image(client, repository, "1")
    with pytest.raises(ManifestUnknown):
        client.delete_manifest(repository, UNKNOWN)
    client.delete_manifest(repository, UNKNOWN, missing_ok=True)
    client.delete_manifest(f"{repository}/nothing", UNKNOWN, missing_ok=True)
    for _ in range(2):
        client.delete_manifest(repository, pushed.digest, missing_ok=True)
    assert client.tags(repository) == []


def test_delete_blob(client, repository):
    pushed = push_image(client, repository, "1")
    client.delete_blob(repository, pushed.blobs[0])
    with pytest.raises(BlobUnknown):
        client.stat_blob(repository, pushed.blobs[0])
    with pytest.raises(BlobUnknown) as caught:
        client.delete_blob(repository, pushed.blobs[0])
    assert (caught.value.status, caught.value.code) == (404, "BLOB_UNKNOWN")
    client.delete_blob(repository, pushed.blobs[0], missing_ok=True)
    assert client.stat_blob(repository, pushed.blobs[1])


def test_a_registry_that_does_not_delete(registry_program, tmp_path, repository):
    with running_registry(registry_program, tmp_path, deletes=False) as url, RegistryClient(url) as client:
        pushed = push_image(client, repository, "1")
        for call in (client.delete_manifest, client.delete_blob):
            for missing_ok in (False, True):
                with pytest.raises(Unsupported) as caught:
                    call(repository, pushed.digest, missing_ok=missing_ok)
                assert (caught.value.status, caught.value.code) == (405, "UNSUPPORTED")
        assert client.tags(repository) == ["1"]
