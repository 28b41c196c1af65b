"""What a registry may serve although none takes it in: it never holds up another tag."""

import functools
import hashlib
import json
import threading

import pytest

from console.images.config_details import content
from console.registry import connection
from console.registry.index.hints import Notice, remember, sync_repository
from console.registry.index.models import Hint
from console.repositories.models import Manifest
from registry_client import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    RegistryClient,
    RegistryError,
    RegistryUnavailable,
)
from tests.index.documents import index, on
from tests.support.factories import ImageFactory
from tests.support.http_servers import Reply, Server, error_reply, json_reply
from tests.support.index_sync import reread_tag
from tests.support.pushed_images import digest_of

pytestmark = pytest.mark.django_db

LARGEST = (1 << 63) - 1


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
    monkeypatch.setattr(connection, "RegistryClient", quick)
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
        sync_repository(image.repository)
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
        fake.manifests[digest] = fake.manifests["bad"]
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
        sync_repository(image.repository)
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
            sync_repository(image.repository)
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
