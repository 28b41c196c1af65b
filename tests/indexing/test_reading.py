"""Whatever somebody pushed: it is read as far as it can be understood, and never holds up another tag."""

import datetime
import functools
import hashlib
import json
import threading

import pytest

from console import registry as console_registry
from console.images.models import Document, Manifest, Tag
from console.images.tags import content, decorate
from console.indexing.hints import Notice, follow, remember
from console.indexing.models import Hint
from console.indexing.reading import shown_config, subject_of_tag
from console.indexing.services import reread_image, reread_tag
from console.registry import registry
from registry_client import (
    DOCKER_MANIFEST_LIST,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    RegistryClient,
    RegistryError,
    RegistryUnavailable,
)
from tests.factories import ImageFactory
from tests.registry_client.servers import Reply, Server, error_reply, json_reply
from tests.registry_tools import DOCKER_MANIFEST, digest_of, push_blob, push_image, push_index

pytestmark = pytest.mark.django_db

LARGEST = (1 << 63) - 1
REFERENCE_TYPE, REFERENCE_DIGEST = "vnd.docker.reference.type", "vnd.docker.reference.digest"


@pytest.fixture
def image(registry_server):
    return ImageFactory()


def put(repository, reference, document, media_type=OCI_MANIFEST):
    """Push a manifest of any content; its descriptor."""
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    registry().put_manifest(repository, reference or digest_of(raw), raw, media_type)
    return {"mediaType": media_type, "digest": digest_of(raw), "size": len(raw)}


def blob(repository, raw, media_type):
    return {"mediaType": media_type, "digest": push_blob(registry(), repository, raw), "size": len(raw)}


def oci(repository, *, config=b"{}", config_type=OCI_CONFIG, layers=(b"layer",), **more):
    """An OCI manifest whose blobs are pushed."""
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": blob(repository, config, config_type),
        "layers": [blob(repository, layer, OCI_LAYER) for layer in layers],
        **more,
    }


def index(*children, media_type=OCI_INDEX, **more):
    return {"schemaVersion": 2, "mediaType": media_type, "manifests": list(children), **more}


def on(architecture, descriptor, **more):
    return {**descriptor, "platform": {"os": "linux", "architecture": architecture, **more}}


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
        assert (shown.platform, [one.kind for one in shown.attachments]) == ("linux/amd64", ["attestation"])

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
        steps = content(row).steps
        assert (len(steps), steps[499].command, steps[499].digest) == (500, "RUN 499", layer["digest"])

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


class FakeRegistry(Server):
    """A registry that serves what no registry takes in. ``manifests`` and ``blobs`` hold replies, or bytes."""

    def __init__(self):
        super().__init__(self._serve)
        self.manifests, self.blobs = {}, {}

    def _serve(self, request):
        if request.path == "/v2/":
            return json_reply({})
        if request.path.endswith("/tags/list"):
            return json_reply({"name": "x", "tags": [name for name in self.manifests if ":" not in name]})
        kind, reference = request.path.split("/")[-2:]
        found = {"manifests": self.manifests, "blobs": self.blobs}[kind].get(reference)
        return found or error_reply(404, "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN")

    def serve(self, reference, document, media_type=OCI_MANIFEST, **headers):
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        reply = Reply(200, raw, {"Content-Type": media_type, **headers})
        self.manifests[reference] = self.manifests[digest_of(raw)] = reply
        return {"mediaType": media_type, "digest": digest_of(raw), "size": len(raw)}


@pytest.fixture
def fake(settings, monkeypatch):
    """It takes the registry's place, with one good tag; nobody waits for it longer than a moment."""
    quick = functools.partial(RegistryClient, read_timeout=0.3, retries=0)
    monkeypatch.setattr(console_registry, "RegistryClient", quick)
    server = FakeRegistry()
    settings.CONSOLE_REGISTRY_URL = server.url
    server.serve("good", index(), OCI_INDEX)
    yield server
    server.close()


def look(*tags):
    """Follow hints at these tags and the good one, as the worker does; whether it has to be done again."""
    image = ImageFactory()
    remember([Notice(image.repository, tag) for tag in (*tags, "good")])
    try:
        follow(image.repository)
    except RegistryError:
        again = True
    else:
        again = False
    assert image.tags.filter(name="good").exists()
    return image, again


DIGEST = "sha256:" + "0" * 64


class TestServed:
    """What no registry takes in, but one may hold."""

    @pytest.mark.parametrize(
        ("media_type", "document"),
        [
            ("application/vnd.example.thing+json", {"thing": 1}),
            ("application/vnd.example.thing+json", {"manifests": 5}),
            ("application/vnd.docker.distribution.manifest.v1+prettyjws", {"schemaVersion": 1, "fsLayers": []}),
            ("application/vnd.docker.distribution.manifest.v1+json", {"schemaVersion": 1, "name": "x", "tag": "y"}),
            (OCI_MANIFEST, b"not JSON"),
            (OCI_MANIFEST, b"[]"),
            (OCI_MANIFEST, b"[" * 100_000),
            (OCI_MANIFEST, {"layers": [{"digest": DIGEST, "size": -1}]}),
            (OCI_MANIFEST, {"layers": [{"digest": DIGEST, "size": 1 << 63}]}),
            (OCI_MANIFEST, {"layers": [{"digest": DIGEST, "size": LARGEST}] * 2}),
            (OCI_MANIFEST, {"layers": [{"digest": "blake3:" + "0" * 64, "size": 1}]}),
            (OCI_MANIFEST, {"layers": "x", "config": 1}),
            (OCI_INDEX, {"manifests": [1]}),
            (OCI_INDEX, {"manifests": [{"digest": DIGEST, "size": 1, "platform": {"os": "a\x00"}}]}),
            (OCI_INDEX, {"manifests": [{"digest": DIGEST, "size": 1, "annotations": {"a": "\ud800"}}]}),
        ],
    )  # fmt: skip
    def test_not_understood_but_listed(self, fake, media_type, document):
        fake.serve("bad", document, media_type)
        image, again = look("bad")
        row = image.tags.get(name="bad").manifest
        assert (row.kind, row.size, row.media_type, again) == (Manifest.Kind.OTHER, 0, media_type, False)
        assert content(row).raw_size > 0
        assert not Hint.objects.exists()

    def test_an_artifact_without_a_config(self, fake):
        fake.serve("bad", {"schemaVersion": 2, "artifactType": "application/vnd.example.sbom", "layers": []})
        image, _again = look("bad")
        row = image.tags.get(name="bad").manifest
        assert (row.kind, row.artifact_type, row.size) == (Manifest.Kind.ARTIFACT, "application/vnd.example.sbom", 0)

    def test_what_says_nothing_storable_of_itself(self, fake):
        fake.serve("bad", {"layers": [], "artifactType": "a\x00", "subject": {"digest": "no"}})
        image, _again = look("bad")
        assert image.tags.get(name="bad").manifest.artifact_type == ""

    def test_a_digest_of_another_algorithm(self, fake):
        raw = json.dumps(index()).encode()
        digest = f"sha512:{hashlib.sha512(raw).hexdigest()}"
        fake.serve("bad", raw, OCI_INDEX, **{"Docker-Content-Digest": digest})
        image, _again = look("bad")
        assert image.tags.get(name="bad").manifest.digest == digest

    def test_children_that_are_missing_broken_or_another(self, fake):
        child = fake.serve("child", {"layers": [{"digest": DIGEST, "size": 7, "mediaType": OCI_LAYER}]})
        wrong = fake.serve("wrong", {"layers": []})
        fake.manifests[wrong["digest"]] = Reply(200, b"something else", {"Content-Type": OCI_MANIFEST})
        missing = {"digest": DIGEST, "size": 1, "mediaType": OCI_MANIFEST}
        fake.serve("bad", index(on("amd64", child), on("arm64", missing), on("s390x", wrong)), OCI_INDEX)
        image, again = look("bad")
        row = image.tags.get(name="bad").manifest
        assert (row.size, row.platforms, again) == (7, ["linux/amd64", "linux/arm64", "linux/s390x"], False)

    @pytest.mark.parametrize(
        "reply",
        [
            None,
            Reply(200, b"x" * 100, {"Content-Type": "application/json"}),
            Reply(200, b"<html>", {"Content-Type": "text/html"}),
            Reply(404, b"<html>", {"Content-Type": "text/html"}),
        ],
    )
    def test_a_config_that_cannot_be_had(self, fake, reply):
        fake.blobs[DIGEST] = reply
        fake.serve("bad", {"config": {"mediaType": OCI_CONFIG, "digest": DIGEST, "size": 100}, "layers": []})
        image, again = look("bad")
        assert (image.tags.get(name="bad").manifest.kind, again) == (Manifest.Kind.IMAGE, False)

    @pytest.mark.parametrize(
        "reply",
        [
            Reply(200, b"<html>", {"Content-Type": "text/html"}),
            Reply(404, b"<html>", {"Content-Type": "text/html"}),
            Reply(302, b"", {"Location": "http://127.0.0.1:9/"}),
            Reply(200, b"{}", {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": DIGEST}),
            Reply(200, b"{}", {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": "blake3:00"}),
            Reply(200, b"{" + b" " * (9 << 20), {"Content-Type": OCI_MANIFEST}),
        ],
    )
    def test_no_manifest_at_all_is_left_to_the_next_reconcile(self, fake, reply):
        fake.manifests["bad"] = reply
        image, again = look("bad")
        assert (list(image.tags.values_list("name", flat=True)), again) == (["good"], False)
        assert not Hint.objects.exists()

    @pytest.mark.parametrize("bad", ["500", "cut", "slow"])
    def test_a_tag_that_fails_keeps_its_hint(self, fake, bad):
        """… and is looked at again until it can be read."""
        over = threading.Event()
        fake.manifests["bad"] = {
            "500": error_reply(500, "UNKNOWN"),
            "cut": Reply(200, b'{"layers": []}', {"Content-Type": OCI_MANIFEST}, cut=3),
            "slow": Reply(200, b"{}", {"Content-Type": OCI_MANIFEST}, before=over.wait),
        }[bad]
        image, again = look("bad")
        over.set()
        assert again
        assert [hint.tag for hint in Hint.objects.all()] == ["bad"]
        fake.serve("bad", index(annotations={"now": "it works"}), OCI_INDEX)
        follow(image.repository)
        assert image.tags.filter(name="bad").exists()
        assert not Hint.objects.exists()

    @pytest.mark.parametrize(
        "reply",
        [
            error_reply(500, "UNKNOWN"),
            error_reply(503, "UNAVAILABLE"),
            error_reply(401, "UNAUTHORIZED"),
            error_reply(403, "DENIED"),
            Reply(200, b"<html>", {"Content-Type": "text/html"}),
            Reply(404, b"<html>", {"Content-Type": "text/html"}),
            Reply(302, b"", {"Location": "http://127.0.0.1:9/"}),
        ],
    )
    def test_a_registry_that_fails_as_a_whole_loses_nothing(self, fake, reply):
        image = ImageFactory()
        fake.answer = lambda request: reply
        remember([Notice(image.repository, f"v{number}") for number in range(20)])
        with pytest.raises(RegistryError):
            follow(image.repository)
        assert Hint.objects.count() == 20
        # It does not ask for each of them.
        assert len(fake.requests) < 10

    def test_a_failing_child_fails_the_look(self, fake):
        """What could not be read just now is not taken for gone."""
        child = fake.serve("child", {"layers": []})
        fake.manifests[child["digest"]] = error_reply(500, "UNKNOWN")
        fake.serve("bad", index(child), OCI_INDEX)
        image, again = look("bad")
        assert again
        assert not image.tags.filter(name="bad").exists()
        with pytest.raises(RegistryUnavailable):
            reread_tag(image.repository, "bad")


def test_subjects_named_by_tags():
    assert subject_of_tag("sha256-" + "a" * 64) == "sha256:" + "a" * 64
    assert subject_of_tag("sha256-" + "a" * 64 + ".sig") == "sha256:" + "a" * 64
    for other in ("v1", "sha256-abc", "sha256-" + "A" * 64, "sha256-" + "a" * 65, "sha512-" + "a" * 64):
        assert subject_of_tag(other) == ""


def test_a_config_is_shown_in_part():
    assert shown_config({"config": {"Cmd": ["x"] * 10_000}})["command"] == ["x"] * 500
