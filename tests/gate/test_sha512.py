"""Manifests by their sha512 digest: one content with two names."""

import hashlib
import json

import pytest

from console.gate import deletes
from console.gate.errors import denied
from console.registry.connection import registry
from console.repositories.models import Manifest, Tag
from registry_client import OCI_EMPTY, OCI_INDEX, OCI_MANIFEST, BlobUnknown, ManifestUnknown
from tests.support.pushed_images import digest_of, present, push_blob

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


def sha512(content):
    return f"sha512:{hashlib.sha512(content).hexdigest()}"


def artifact(repository, **more):
    """The bytes of a small artifact whose blob the registry has, and its sha512 digest."""
    push_blob(registry(), repository, b"{}")
    entry = {"mediaType": OCI_EMPTY, "digest": digest_of(b"{}"), "size": 2}
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": entry, "layers": [entry], **more}
    content = json.dumps(document).encode()
    return content, sha512(content)


def index(repository, *children):
    entries = [{"mediaType": OCI_MANIFEST, "digest": digest, "size": len(content)} for content, digest in children]
    content = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    return content, sha512(content)


@pytest.fixture
def pushed(gate, app):
    """An artifact that was pushed by its sha512 digest: its bytes, and the digest."""
    content, digest = artifact(app)
    assert gate.put(app, digest, content, OCI_MANIFEST).status_code == 201
    return content, digest


def test_it_has_both_names(gate, app, pushed):
    content, digest = pushed
    assert gate.answer["Docker-Content-Digest"] == digest
    assert gate.answer["Location"] == f"/v2/{app}/manifests/{digest}"
    for name in (digest, digest_of(content)):
        found = registry().manifest(app, name)
        assert (found.content, found.media_type, found.digest) == (content, OCI_MANIFEST, name)


def test_the_index_has_the_registrys_name(gate, app):
    content, digest = artifact(app)
    gate.put(app, "v1", content, OCI_MANIFEST)
    assert gate.put(app, digest, content, OCI_MANIFEST).status_code == 201
    assert [one.digest for one in Manifest.objects.filter(image__full_name=app)] == [digest_of(content)]
    assert Tag.objects.get(image__full_name=app).manifest.digest == digest_of(content)


def test_it_is_a_child_by_that_name(gate, app, pushed):
    content, digest = index(app, pushed)
    assert gate.put(app, digest, content, OCI_INDEX).status_code == 201
    assert gate.put(app, "list", content, OCI_INDEX).status_code == 201
    assert registry().manifest(app, digest).content == content
    other = artifact(app, annotations={"a": "b"})
    content, digest = index(app, other)
    assert gate.error(gate.put(app, digest, content, OCI_INDEX), 400)[0] == "MANIFEST_BLOB_UNKNOWN"
    with pytest.raises(ManifestUnknown):
        registry().resolve(app, digest)


def test_the_digest_of_other_bytes(gate, app):
    content, digest = artifact(app)
    assert gate.error(gate.put(app, digest, content + b" ", OCI_MANIFEST), 400)[0] == "DIGEST_INVALID"
    assert not present(registry(), app, digest_of(content + b" "))


def test_what_the_rules_do_not_allow_is_not_stored(gate, app):
    content, digest = artifact(app)
    answer = gate.put("elsewhere/app", digest, content, OCI_MANIFEST)
    assert answer.status_code == 403
    with pytest.raises(BlobUnknown):
        registry().stat_blob("elsewhere/app", digest)


def test_a_subject_is_named(gate, app):
    subject = {"mediaType": OCI_MANIFEST, "digest": sha512(b"x"), "size": 1}
    content, digest = artifact(app, subject=subject)
    assert gate.put(app, digest, content, OCI_MANIFEST)["OCI-Subject"] == sha512(b"x")


class TestDeletion:
    def test_both_names_are_gone(self, gate, app, pushed):
        content, digest = pushed
        gate.put(app, "v1", content, OCI_MANIFEST)
        assert gate.delete(app, digest).status_code == 202
        for name in (digest, digest_of(content), "v1"):
            assert not present(registry(), app, name)
        assert not Tag.objects.filter(image__full_name=app).exists()
        assert gate.error(gate.delete(app, digest), 404)[0] == "MANIFEST_UNKNOWN"
        assert gate.put(app, digest, content, OCI_MANIFEST).status_code == 201
        assert present(registry(), app, digest)

    def test_what_is_left_of_it(self, gate, app, pushed):
        """As after the deletion by its sha256 digest, and of one that was killed in between."""
        content, digest = pushed
        registry().delete_manifest(app, digest_of(content))
        assert gate.delete(app, digest).status_code == 202
        assert not present(registry(), app, digest)

    def test_the_rules_come_first(self, gate, app, pushed, monkeypatch):
        def refuse(*arguments):
            raise denied("No.")

        monkeypatch.setattr(deletes, "_announce", refuse)
        assert gate.error(gate.delete(app, pushed[1]), 403) == ("DENIED", "No.")
        assert present(registry(), app, pushed[1])
