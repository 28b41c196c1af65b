"""The referrers API, from the index."""

import json
from urllib.parse import quote

import pytest

from console.gate import referrers
from console.registry.connection import registry
from console.repositories.models import Document, Manifest
from registry_client import OCI_CONFIG, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST
from tests.support.factories import ImageFactory, ManifestFactory
from tests.support.pushed_artifacts import push_artifact, push_referrers
from tests.support.pushed_images import DOCKER_MANIFEST, digest_of, push_blob, push_image

pytestmark = pytest.mark.django_db
SBOM = "application/vnd.example.sbom"


def listed(gate, repository, digest, **query):
    answer = gate.get(repository, f"referrers/{digest}", **query)
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == OCI_INDEX
    document = answer.json()
    assert (document["schemaVersion"], document["mediaType"]) == (2, OCI_INDEX)
    return answer, document["manifests"]


def push_about(gate, repository, subject, reference=None, config=None, **more):
    """Push a small manifest about ``subject``; its bytes."""
    content = config or b"{}"
    push_blob(registry(), repository, content)
    entry = {"mediaType": OCI_EMPTY, "digest": digest_of(content), "size": len(content)}
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": entry | ({"mediaType": OCI_CONFIG} if config else {}),
        "layers": [entry],
        "subject": {"mediaType": DOCKER_MANIFEST, "digest": subject, "size": 1},
        **more,
    }
    raw = json.dumps(document).encode()
    gate.put_manifest(repository, reference or digest_of(raw), raw, OCI_MANIFEST)
    return raw


def test_what_names_a_manifest_as_its_subject(gate, app):
    image = push_image(gate, app, "v1")
    made = push_artifact(gate, app, None, image)
    _answer, (one,) = listed(gate, app, image.digest)
    assert one == {"mediaType": OCI_MANIFEST, "digest": made.digest, "size": len(made.content), "artifactType": SBOM}
    # The same with a tag, and with annotations; another image's are not there.
    raw = push_about(gate, app, image.digest, "tagged", annotations={"a": "b"}, artifactType="application/x")
    push_artifact(gate, app, None, push_image(gate, app, "v2"))
    _answer, found = listed(gate, app, image.digest)
    tagged = {
        "mediaType": OCI_MANIFEST,
        "digest": digest_of(raw),
        "size": len(raw),
        "artifactType": "application/x",
        "annotations": {"a": "b"},
    }
    assert sorted(found, key=lambda entry: entry["digest"]) == sorted([one, tagged], key=lambda entry: entry["digest"])


def test_the_type_of_what_does_not_state_one_is_that_of_its_config(gate, app):
    image = push_image(gate, app, "v1")
    push_about(gate, app, image.digest)
    push_about(gate, app, image.digest, config=b'{"os": "linux"}')
    assert {one["artifactType"] for one in listed(gate, app, image.digest)[1]} == {OCI_EMPTY, OCI_CONFIG}
    answer, (one,) = listed(gate, app, image.digest, artifactType=OCI_CONFIG)
    assert one["artifactType"] == OCI_CONFIG


def test_an_index_without_a_type_has_none(gate, app):
    image = push_image(gate, app, "v1")
    subject = {"mediaType": DOCKER_MANIFEST, "digest": image.digest, "size": 1}
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": subject}).encode()
    gate.put_manifest(app, digest_of(raw), raw, OCI_INDEX)
    (one,) = listed(gate, app, image.digest)[1]
    assert one == {"mediaType": OCI_INDEX, "digest": digest_of(raw), "size": len(raw)}


def test_the_filter(gate, app):
    image = push_image(gate, app, "v1")
    made = push_artifact(gate, app, None, image)
    push_about(gate, app, image.digest, artifactType="application/x")
    answer, (one,) = listed(gate, app, image.digest, artifactType=SBOM)
    assert one["digest"] == made.digest
    assert answer["OCI-Filters-Applied"] == "artifactType"
    answer, none = listed(gate, app, image.digest, artifactType="application/none")
    assert (none, answer["OCI-Filters-Applied"]) == ([], "artifactType")
    assert not listed(gate, app, image.digest)[0].has_header("OCI-Filters-Applied")


def test_nothing_is_an_empty_list(gate, app):
    """A 404 would tell clients to use the fall-back tag."""
    nothing = f"sha256:{0:064}"
    assert listed(gate, app, nothing)[1] == []
    push_image(gate, app, "v1")
    assert listed(gate, app, nothing)[1] == []
    assert listed(gate, app, f"sha512:{0:0128}")[1] == []


def test_the_list_under_the_fall_back_tag(gate, app):
    """Of a client that does not know the API: what it lists is listed once, and its list is none of them."""
    image = push_image(gate, app, "v1")
    one, two = (push_artifact(gate, app, None, image) for _ in range(2))
    without = push_artifact(gate, app, None, None)
    push_referrers(gate, app, image, [one, without])
    found = [entry["digest"] for entry in listed(gate, app, image.digest)[1]]
    assert found == sorted([one.digest, two.digest, without.digest])


def test_pages(gate, app, monkeypatch):
    monkeypatch.setattr(referrers, "MOST_REFERRERS", 2)
    monkeypatch.setattr(referrers, "_AT_ONCE", 3)
    image = push_image(gate, app, "v1")
    pushed = sorted(push_artifact(gate, app, None, image).digest for _ in range(5))
    path, seen = f"referrers/{image.digest}", []
    query = {"artifactType": SBOM}
    while True:
        answer, page = listed(gate, app, image.digest, **query)
        seen.append([one["digest"] for one in page])
        if not answer.has_header("Link"):
            break
        target = answer["Link"].partition(">")[0].strip("<")
        assert target.startswith(f"/v2/{app}/{path}?artifactType=application%2Fvnd.example.sbom&last=sha256%3A")
        query = {"artifactType": SBOM, "last": page[-1]["digest"]}
    assert seen == [pushed[:2], pushed[2:4], pushed[4:]]


def test_large_annotations_make_short_pages(gate, app, monkeypatch):
    monkeypatch.setattr(referrers, "_MOST_BYTES", 100)
    image = push_image(gate, app, "v1")
    for number in range(3):
        push_about(gate, app, image.digest, annotations={str(number): "x" * 80})
    answer, page = listed(gate, app, image.digest)
    assert len(page) == 1 and answer.has_header("Link")


def test_few_bytes_are_examined_for_a_page(gate, app, monkeypatch):
    """A page may be empty, and there is another one."""
    monkeypatch.setattr(referrers, "_MOST_EXAMINED", 1)
    monkeypatch.setattr(referrers, "SMALL_BYTES", 1)
    image = push_image(gate, app, "v1")
    pushed = sorted(push_artifact(gate, app, None, image).digest for _ in range(3))
    Manifest.objects.update(artifact_type="")  # then the manifest itself has to be read
    for artifact_type, expected in ((SBOM, pushed), ("application/vnd.example.none", [])):
        found, query, pages = [], {"artifactType": artifact_type}, 0
        while True:
            answer, page = listed(gate, app, image.digest, **query)
            found += [one["digest"] for one in page]
            pages += 1
            if not answer.has_header("Link"):
                break
            query["last"] = pushed[pages - 1]
            assert quote(query["last"], safe="") in answer["Link"]
        assert (found, pages) == (expected, 3)


def test_what_cannot_be_read_has_a_descriptor(gate, team):
    image = ImageFactory(namespace=team, name="odd")
    subject = f"sha256:{1:064}"
    for number, content in enumerate([b"nonsense", b"[]", b'{"annotations": 1, "artifactType": 2}']):
        row = ManifestFactory(image=image, digest=digest_of(content), subject=subject, kind=Manifest.Kind.OTHER)
        Document.objects.create(digest=row.digest, media_type=row.media_type, content=content)
        assert len(listed(gate, "team/odd", subject)[1]) == number + 1
    assert all(set(one) == {"mediaType", "digest", "size"} for one in listed(gate, "team/odd", subject)[1])
    Manifest.objects.update(doomed=True)
    assert listed(gate, "team/odd", subject)[1] == []


@pytest.mark.parametrize("digest", ["sha256:abc", "v1", "sha1:" + "0" * 40, "sha256:" + "G" * 64])
def test_no_digest(gate, app, digest):
    assert gate.error(gate.get(app, f"referrers/{digest}"), 400)[0] == "DIGEST_INVALID"


def test_a_nul(gate, app):
    for name in ("artifactType", "last"):
        assert gate.error(gate.get(app, f"referrers/sha256:{0:064}", **{name: "\x00"}), 400)[0] == "UNSUPPORTED"
