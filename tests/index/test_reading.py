"""Whatever somebody pushed: it is read as far as it can be understood, and never holds up another tag."""

import datetime
import json

import pytest

from console.images.config_details import content, read_details
from console.images.tags import decorate
from console.registry.connection import registry
from console.registry.index.parse import shown_config, subject_of_tag
from console.registry.index.sync import reread_image
from console.repositories.models import Document, Manifest, Tag
from registry_client import (
    DOCKER_MANIFEST_LIST,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER,
)
from tests.index.documents import blob, index, oci, on, put
from tests.support.factories import ImageFactory
from tests.support.index_sync import reread_tag
from tests.support.pushed_images import DOCKER_MANIFEST, push_image, push_index

pytestmark = pytest.mark.django_db

LARGEST = (1 << 63) - 1
REFERENCE_TYPE, REFERENCE_DIGEST = "vnd.docker.reference.type", "vnd.docker.reference.digest"


@pytest.fixture
def image(registry_server):
    return ImageFactory()


class TestPushed:
    """What the registry takes in."""

    def test_provenance_of_buildx(self, image):
        config = json.dumps({"os": "linux", "architecture": "amd64"}).encode()
        child = put(image.repository, None, oci(image.repository, config=config))
        provenance = put(image.repository, None, oci(image.repository, layers=[b"in-toto"]))
        attestation = {
            **provenance,
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: child["digest"]},
        }
        put(image.repository, "v1", index(on("amd64", child), attestation), OCI_INDEX)
        reread_tag(image.repository, "v1")
        row = Tag.objects.get().manifest
        assert (row.kind, row.platforms) == (Manifest.Kind.INDEX, ["linux/amd64"])
        assert row.children[1] == {"digest": provenance["digest"], "platform": "", "about": child["digest"]}
        decorate(image, [row])
        (shown,) = row.children_shown
        assert (shown.platform, [one.kind for one in shown.attached.rows]) == ("linux/amd64", ["attestation"])

    def test_a_signature_of_cosign(self, image):
        signed = push_image(registry(), image.repository, "v1")
        tag = f"sha256-{signed.digest.removeprefix('sha256:')}.sig"
        put(image.repository, tag, oci(image.repository, layers=[b"signature"]))
        reread_image(image.repository)
        image.refresh_from_db()
        assert (image.tag_count, image.attachment_count) == (1, 1)
        assert Tag.objects.get(name=tag).subject == signed.digest

    def test_an_artifact_of_oras(self, image):
        subject = push_image(registry(), image.repository, "v1")
        artifact = oci(
            image.repository,
            config_type=OCI_EMPTY,
            artifactType="application/vnd.example.sbom",
            subject={"mediaType": DOCKER_MANIFEST, "digest": subject.digest, "size": len(subject.content)},
        )
        put(image.repository, "sbom", artifact)
        reread_image(image.repository)
        row = Tag.objects.get(name="sbom").manifest
        assert (row.kind, row.artifact_type, row.subject, row.platforms, row.created_at) == (
            Manifest.Kind.ARTIFACT, "application/vnd.example.sbom", subject.digest, [], None,
        )  # fmt: skip
        image.refresh_from_db()
        assert (image.tag_count, image.attachment_count) == (1, 1)

    def test_an_artifact_is_called_after_its_config(self, image):
        put(image.repository, "chart", oci(image.repository, config_type="application/vnd.cncf.helm.config.v1+json"))
        reread_tag(image.repository, "chart")
        row = Tag.objects.get().manifest
        assert (row.kind, row.artifact_type) == (Manifest.Kind.ARTIFACT, "application/vnd.cncf.helm.config.v1+json")

    @pytest.mark.parametrize("media_type", [DOCKER_MANIFEST_LIST, OCI_INDEX])
    def test_lists(self, image, media_type):
        one, two = (push_image(registry(), image.repository, None) for _ in range(2))
        entries = [
            {"mediaType": DOCKER_MANIFEST, "digest": pushed.digest, "size": len(pushed.content)}
            for pushed in (one, two)
        ]
        whole = index(on("arm", entries[0], variant="v7"), on("s390x", entries[1]), media_type=media_type)
        put(image.repository, "v1", whole, media_type)
        reread_tag(image.repository, "v1")
        row = Tag.objects.get().manifest
        assert (row.kind, row.media_type, row.platforms) == ("index", media_type, ["linux/arm/v7", "linux/s390x"])
        assert row.size == one.size + two.size
        assert set(Manifest.objects.filter(is_child=True).values_list("digest", flat=True)) == {one.digest, two.digest}

    def test_pushed_again_with_other_platforms(self, image):
        children = [push_image(registry(), image.repository, None) for _ in range(3)]
        for some in (children[:2], children):
            push_index(registry(), image.repository, "v1", some)
            reread_tag(image.repository, "v1")
        row = Tag.objects.get().manifest
        assert row.platforms == ["linux/amd64", "linux/arm64", "linux/s390x"]
        image.refresh_from_db()
        assert image.size == row.size == sum(child.size for child in children)

    def test_an_index_of_indexes(self, image):
        leaf = push_image(registry(), image.repository, None)
        descriptor = {"mediaType": DOCKER_MANIFEST, "digest": leaf.digest, "size": len(leaf.content)}
        for depth in range(7):
            descriptor = put(image.repository, f"depth-{depth}", index(descriptor), OCI_INDEX)
        for _ in range(2):
            reread_image(image.repository)
            assert [tag.manifest.size for tag in Tag.objects.all()] == [leaf.size] * 7

    def test_a_child_that_is_gone_and_comes_back(self, image):
        children = [push_image(registry(), image.repository, None) for _ in range(2)]
        push_index(registry(), image.repository, "v1", children)
        registry().delete_manifest(image.repository, children[0].digest)
        reread_tag(image.repository, "v1")
        row = Tag.objects.get().manifest
        assert (row.size, len(row.children)) == (children[1].size, 2)
        registry().put_manifest(image.repository, children[0].digest, children[0].content, DOCKER_MANIFEST)
        reread_tag(image.repository, "v1")
        row.refresh_from_db()
        assert row.size == children[0].size + children[1].size

    def test_a_manifest_as_large_as_any(self, image):
        """4 MiB is where the registry stops."""
        document = oci(image.repository, annotations={"x": ""})
        document["annotations"]["x"] = "x" * ((4 << 20) - len(json.dumps(document)))
        put(image.repository, "v1", document)
        reread_tag(image.repository, "v1")
        shown = content(Tag.objects.get().manifest)
        assert shown.raw_size == 4 << 20
        assert len(shown.raw) < 100_000

    def test_five_hundred_layers(self, image):
        layer = blob(image.repository, b"layer", OCI_LAYER)
        history = [{"created_by": f"RUN {number}"} for number in range(500)]
        document = {**oci(image.repository, config=json.dumps({"history": history}).encode()), "layers": [layer] * 500}
        put(image.repository, "v1", document)
        reread_tag(image.repository, "v1")
        row = Tag.objects.get().manifest
        assert row.size == 500 * 5 + document["config"]["size"]
        steps = read_details(row).steps
        assert (len(steps), steps[499].command, steps[499].digest) == (500, "RUN 499", layer["digest"])
        shown = content(row).steps
        assert (len(shown.rows), shown.more) == (100, 400)

    def test_the_longest_tag(self, image):
        push_image(registry(), image.repository, "x" * 128)
        reread_tag(image.repository, "x" * 128)
        assert Tag.objects.get().name == "x" * 128

    def test_sizes_beyond_belief(self, image):
        """The registry does not compare what a manifest claims with what it holds."""
        claims = []
        for number in range(3):
            document = oci(image.repository, config=json.dumps({"n": number}).encode())
            document["layers"][0]["size"] = LARGEST - 100
            claims.append(put(image.repository, f"v{number}", document))
        put(image.repository, "all", index(*claims), OCI_INDEX)
        reread_image(image.repository)
        image.refresh_from_db()
        assert (image.tag_count, image.size) == (4, LARGEST)
        assert Tag.objects.get(name="all").manifest.size == LARGEST
        reread_image(image.repository)

    @pytest.mark.parametrize(
        "config",
        [
            b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"{}",
            b'{"config": [], "history": "x", "created": 5, "os": {}, "architecture": null}',
            b'{"config": {"Env": 1, "Cmd": {"a": 1}, "Labels": ["x"], "ExposedPorts": "80"}, "history": [1, null, {}]}',
            b'{"created": "\\u0000", "author": "a\\u0000\\ud800", "config": {"Labels": {"\\udfff": "\\u0000"}}}',
            b'{"os": "linux\\ud800", "architecture": "\\u0000amd64", "config": {"Env": ["A\\u0000=1", "\\ud800"]}}',
            b'{"created": "0000-00-00T00:00:00Z"}', b'{"created": "0001-01-01T00:00:00+14:00"}',
            b'{"created": "9999-12-31T23:59:59-14:00"}', b'{"created": "99999-01-01T00:00:00Z"}',
            b'{"n": -1e400, "m": 1' + b"0" * 4000 + b"}", b'{"os": 1' + b"0" * 5000 + b"}",
            b'{"history": [{"created_by": "' + b"x" * 100_000 + b'", "created": "never", "empty_layer": "yes"}]}',
        ],
    )  # fmt: skip
    def test_configs_of_every_kind(self, image, config):
        put(image.repository, "v1", oci(image.repository, config=config))
        reread_tag(image.repository, "v1")
        row = Tag.objects.get().manifest
        assert (row.kind, row.size) == (Manifest.Kind.IMAGE, 5 + len(config))
        assert content(row) is not None

    def test_values_of_the_environment_are_not_kept(self, image):
        config = {"created": "2026-01-02T03:04:05.123456789Z", "config": {"Env": ["PASSWORD=secret", "A"]}}
        put(image.repository, "v1", oci(image.repository, config=json.dumps(config).encode()))
        reread_tag(image.repository, "v1")
        document = Document.objects.get()
        assert document.config["environment"] == ["PASSWORD", "A"]
        assert "secret" not in json.dumps(document.config)
        assert Tag.objects.get().manifest.created_at.date() == datetime.date(2026, 1, 2)


def test_subjects_named_by_tags():
    assert subject_of_tag("sha256-" + "a" * 64) == "sha256:" + "a" * 64
    assert subject_of_tag("sha256-" + "a" * 64 + ".sig") == "sha256:" + "a" * 64
    for other in ("v1", "sha256-abc", "sha256-" + "A" * 64, "sha256-" + "a" * 65, "sha512-" + "a" * 64):
        assert subject_of_tag(other) == ""


def test_a_config_is_shown_in_part():
    assert shown_config({"config": {"Cmd": ["x"] * 10_000}})["command"] == ["x"] * 500
