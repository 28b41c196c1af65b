"""Pushing manifests through the gate: passed on byte for byte, and in the index when the client has its answer."""

import json
import random
from io import BytesIO

import pytest
import requests
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from console.access.grants import Access
from console.accounts.services import set_active
from console.audit.models import AuditEvent
from console.registry.connection import registry
from console.registry.index import activity, pushed_manifest, reservations
from console.registry.index.models import Hint
from console.registry.signing import sign
from console.registry.tombstone import TOMBSTONE
from console.repositories import totals
from console.repositories.models import Image, Manifest, PushedDigest, Tag
from console.repositories.totals import refresh_totals
from console.web import request_bodies
from registry_client import OCI_EMPTY, OCI_INDEX, OCI_MANIFEST, ManifestUnknown
from tests.gate.conftest import artifact
from tests.support.factories import ImageFactory, ManifestFactory, NamespaceFactory, TagFactory
from tests.support.pushed_artifacts import push_artifact, push_referrers
from tests.support.pushed_images import DOCKER_MANIFEST, digest_of, push_image, push_index

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


class TestAPush:
    def test_it_is_in_registry_and_index_when_it_is_answered(self, gate, ann, app):
        pushed = push_image(gate, app, "v1")
        assert gate.answer["Location"] == f"/v2/{app}/manifests/{pushed.digest}"
        assert gate.answer["Docker-Content-Digest"] == pushed.digest
        assert not gate.answer.has_header("OCI-Subject")
        assert gate.answer.content == b""
        there = registry().manifest(app, "v1")
        assert (there.content, there.media_type) == (pushed.content, DOCKER_MANIFEST)
        image = Image.objects.get(full_name=app)
        tag = Tag.objects.select_related("manifest").get(image=image)
        assert (tag.name, tag.manifest.digest, tag.pushed_by) == ("v1", pushed.digest, gate.username)
        assert (tag.manifest.size, tag.manifest.platforms) == (pushed.size, ["linux/amd64"])
        assert (image.tag_count, image.size, image.last_push_at) == (1, pushed.size, tag.pushed_at)
        assert not Hint.objects.exists()

    def test_what_a_page_shows(self, gate, app):
        pushed = push_image(gate, app, "v1")
        assert pushed.digest[7:19] in gate.client.get(f"/images/{app}/-/tags/v1/").content.decode()

    def test_the_same_as_after_a_notification(self, gate, app, ann):
        push_image(gate, app, "v1")
        push_image(gate, app, "v1")
        assert activity.add_up() == 2
        assert Image.objects.get(full_name=app).activity.get().pushes == 2
        events = AuditEvent.objects.filter(target__startswith=app).order_by("id").values_list("action", "actor")
        assert list(events) == [(name, ann.account_id) for name in ("image.create", "tag.push", "tag.push")]
        assert AuditEvent.objects.filter(action="tag.push").order_by("id").last().address == "127.0.0.1"

    def test_a_moved_tag(self, gate, app):
        first, second = push_image(gate, app, "v1"), push_image(gate, app, "v1")
        event = AuditEvent.objects.filter(action="tag.push").order_by("id").last()
        assert event.detail == {"old": first.digest, "new": second.digest}
        image = Image.objects.get(full_name=app)
        assert (image.tag_count, image.size) == (1, second.size)

    def test_bytes_are_kept_as_they_are(self, gate, app):
        content = artifact(app)
        gate.put_manifest(app, "v1", content, f"{OCI_MANIFEST}; charset=utf-8")
        assert registry().manifest(app, "v1").content == content
        assert Manifest.objects.get(digest=digest_of(content)).media_type == OCI_MANIFEST

    def test_a_multi_platform_image(self, gate, app):
        children = [push_image(gate, app, None) for _ in range(2)]
        assert not Image.objects.filter(full_name=app).exists()
        index = push_index(gate, app, "v1", children)
        row = Manifest.objects.get(digest=index.digest)
        assert (row.kind, row.child_count, row.size) == ("index", 2, index.size)
        assert set(Manifest.objects.filter(is_child=True).values_list("digest", flat=True)) == {
            one.digest for one in children
        }

    def test_by_digest(self, gate, app):
        pushed = push_image(gate, app, None)
        assert registry().manifest(app, pushed.digest).content == pushed.content
        # As after a notification: a deletion of the image will find it.
        assert PushedDigest.objects.get(repository=app).digest == pushed.digest
        assert not Image.objects.filter(full_name=app).exists()
        assert not Hint.objects.exists()

    def test_with_a_subject(self, gate, app):
        image = push_image(gate, app, "v1")
        made = push_artifact(gate, app, None, image)
        assert gate.answer["OCI-Subject"] == image.digest
        assert Manifest.objects.get(digest=made.digest).subject == image.digest
        assert not Hint.objects.exists()

    def test_the_first_one_has_a_subject(self, gate, app):
        """Its subject need not be there."""
        subject = {"mediaType": OCI_MANIFEST, "digest": digest_of(b"later"), "size": 5}
        content = artifact(app, subject=subject)
        gate.put_manifest(app, digest_of(content), content, OCI_MANIFEST)
        assert gate.answer["OCI-Subject"] == subject["digest"]
        assert Image.objects.get(full_name=app).manifests.get().subject == subject["digest"]

    def test_a_list_of_referrers(self, gate, app):
        image = push_image(gate, app, "v1")
        made = push_artifact(gate, app, None, image)
        push_referrers(gate, app, image, [made])
        row = Image.objects.get(full_name=app)
        assert (row.tag_count, row.attachment_count) == (1, 1)

    def test_a_doomed_manifest_is_spared(self, gate, app):
        pushed = push_image(gate, app, "v1")
        Manifest.objects.update(doomed=True)
        gate.put_manifest(app, pushed.digest, pushed.content, DOCKER_MANIFEST)
        assert not Manifest.objects.get(digest=pushed.digest).doomed


class TestWhatIsThereAlready:
    def test_it_is_not_written_again(self, gate, app, between):
        child = push_image(gate, app, None)
        image = push_image(gate, app, "v1")
        between.requests.clear()
        gate.put_manifest(app, child.digest, child.content, DOCKER_MANIFEST)
        gate.put_manifest(app, "v1", image.content, DOCKER_MANIFEST)
        assert {request.method for request in between.requests} == {"HEAD"}
        assert activity.add_up() == 2

    def test_the_registry_has_lost_it(self, gate, app):
        image = push_image(gate, app, "v1")
        registry().delete_manifest(app, image.digest)
        gate.put_manifest(app, "v1", image.content, DOCKER_MANIFEST)
        assert registry().resolve(app, "v1").digest == image.digest

    def test_the_registry_points_the_tag_elsewhere(self, gate, app):
        image = push_image(gate, app, "v1")
        push_image(registry(), app, "v1")
        gate.put_manifest(app, "v1", image.content, DOCKER_MANIFEST)
        assert registry().resolve(app, "v1").digest == image.digest

    def test_another_media_type(self, gate, app, between):
        content = artifact(app)
        document = json.loads(content)
        del document["mediaType"]
        content = json.dumps(document).encode()
        gate.put_manifest(app, "v1", content, OCI_MANIFEST)
        between.requests.clear()
        gate.put(app, "v1", content, DOCKER_MANIFEST)
        assert "PUT" in {request.method for request in between.requests}


class TestTheRules:
    def denied(self, gate, repository, reference="v1"):
        code, message = gate.error(gate.put(repository, reference, artifact(repository), OCI_MANIFEST), 403)
        assert code == "DENIED"
        content = artifact(repository)
        assert not Hint.objects.exists() and not PushedDigest.objects.filter(digest=digest_of(content)).exists()
        with pytest.raises(ManifestUnknown):
            registry().resolve(repository, reference)
        return message

    def test_another_account(self, gate):
        other = ImageFactory()
        assert self.denied(gate, other.repository) == "You no longer have access to this repository."
        NamespaceFactory(name="nobody-has")
        assert self.denied(gate, "no-such-namespace/app")

    def test_a_deactivated_account(self, gate, app, ann):
        set_active(ann, False)
        self.denied(gate, app)

    def test_a_user_name_that_is_gone(self, gate, app):
        gate.username = "somebody-else"
        self.denied(gate, app)

    def test_an_image_that_is_being_deleted(self, gate, team):
        ImageFactory(namespace=team, name="going", state="deleting")
        assert "being deleted" in self.denied(gate, f"{team.name}/going")

    def test_a_namespace_that_changes_hands(self, gate, app, team):
        team.new_owner, team.available_at = ImageFactory().namespace.owner, "2100-01-01T00:00Z"
        team.save()
        assert "transferred" in self.denied(gate, app)

    def test_the_quota_of_tags_is_exact(self, gate, app, ann, team):
        ann.tag_quota = 2
        ann.save()
        image = push_image(gate, app, "v1")
        push_image(gate, app, "v2")
        assert "tag limit (2)" in self.denied(gate, app, "v3")
        # A tag that is there may be moved, and manifests pushed by their digests.
        push_image(gate, app, "v1")
        push_artifact(gate, app, None, image)

    def test_tags_that_are_being_pushed_count(self, gate, app, ann):
        ann.tag_quota = 2
        ann.save()
        push_image(gate, app, "v1")
        waiting = reservations.reserve(app, "v2", "2026-01-01T00:00Z", "ann", digest_of(b""))
        answer = gate.put(app, "v3", artifact(app), OCI_MANIFEST)
        assert gate.error(answer, 403)[0] == "DENIED"
        reservations.release(waiting)
        assert gate.put(app, "v3", artifact(app), OCI_MANIFEST).status_code == 201

    def test_the_quota_of_images(self, gate, app, ann, team):
        ann.image_quota = 1
        ann.save()
        ImageFactory(namespace=team)
        assert "image limit (1)" in self.denied(gate, app)


class TestOddRequests:
    def test_a_digest_that_is_not_the_contents(self, gate, app):
        answer = gate.put(app, digest_of(b"other"), artifact(app), OCI_MANIFEST)
        assert gate.error(answer, 400)[0] == "DIGEST_INVALID"
        assert not PushedDigest.objects.exists()

    @pytest.mark.parametrize("name", ["Team/app", "team//app", "-", "a" * 256, "team/../app", "é/é"])
    def test_invalid_names(self, gate, name):
        answer = gate.put(name, "v1", b"{}", OCI_MANIFEST, gate.bearer("team/app"))
        assert gate.error(answer, 400)[0] == "NAME_INVALID"

    @pytest.mark.parametrize(
        ("reference", "code"),
        [
            (".v1", "MANIFEST_INVALID"),
            ("a" * 129, "MANIFEST_INVALID"),
            ("sha256:abc", "DIGEST_INVALID"),
            (":", "DIGEST_INVALID"),
        ],
    )
    def test_invalid_references(self, gate, app, reference, code):
        assert gate.error(gate.put(app, reference, b"{}", OCI_MANIFEST), 400)[0] == code

    @pytest.mark.parametrize("content", [b"", b"nonsense", b"[]", b"{}", b"[" * 10_000, b'{"schemaVersion": 1}'])
    def test_what_is_no_manifest(self, gate, app, content):
        assert gate.error(gate.put(app, "v1", content, OCI_MANIFEST), 400)[0] == "MANIFEST_INVALID"
        assert not Image.objects.exists() and not Hint.objects.exists() and not PushedDigest.objects.exists()

    @pytest.mark.parametrize("media_type", ["", "nonsense", "text/plain", "application/json", "a/b/c"])
    def test_other_media_types(self, gate, app, media_type):
        assert gate.error(gate.put(app, "v1", artifact(app), media_type), 400)[0] == "MANIFEST_INVALID"
        assert not Hint.objects.exists() and not PushedDigest.objects.exists()

    def test_too_large(self, gate, app, between):
        answer = gate.put(app, "v1", b" " * (4 << 20) + b"{", OCI_MANIFEST)
        assert gate.error(answer, 413)[0] == "MANIFEST_INVALID"
        assert between.requests == []

    def test_as_large_as_may_be(self, gate, app):
        content = artifact(app)
        content += b" " * ((4 << 20) - len(content))
        gate.put_manifest(app, "v1", content, OCI_MANIFEST)
        assert registry().manifest(app, "v1").content == content

    def test_a_body_that_breaks_off(self, gate, app):
        content = artifact(app)
        answer = gate.client.put(
            f"/v2/{app}/manifests/v1",
            content,
            content_type=OCI_MANIFEST,
            headers=gate.bearer(app),
            CONTENT_LENGTH=str(len(content) - 1),
        )
        # The digest tells: what is put is what was sent.
        assert answer.status_code == 400

    def test_the_tombstone(self, gate, app):
        assert gate.error(gate.put(app, "v1", TOMBSTONE, OCI_INDEX), 400)[0] == "MANIFEST_INVALID"

    def test_a_query_of_very_many_fields(self, client, gate):
        query = "&".join(f"a{number}=" for number in range(2000))
        answer = client.get(f"/v2/team/app/tags/list?{query}", headers=gate.bearer("team/app"))
        assert gate.error(answer, 400)[0] == "UNSUPPORTED"

    def test_a_layer_that_is_missing(self, gate, app):
        content = artifact(app, layers=[{"mediaType": OCI_EMPTY, "digest": digest_of(b"missing"), "size": 7}])
        code, message = gate.error(gate.put(app, "v1", content, OCI_MANIFEST), 400)
        assert code == "MANIFEST_BLOB_UNKNOWN"
        assert digest_of(b"missing") in message

    def test_a_layer_stored_elsewhere_and_not_allowed(self, gate, app, settings):
        settings.FOREIGN_LAYER_URLS = ()
        layer = {
            "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "digest": digest_of(b"x"),
            "size": 1,
            "urls": ["https://example.com/x"],
        }
        code, message = gate.error(gate.put(app, "v1", artifact(app, layers=[layer]), OCI_MANIFEST), 400)
        assert code == "MANIFEST_INVALID"
        assert "example.com" in message

    def test_the_version_of_the_protocol(self, gate, app):
        assert gate.put(app, "v1", b"", OCI_MANIFEST)["Docker-Distribution-Api-Version"] == "registry/2.0"


def test_a_chunked_body_may_be_as_long_as_a_manifest():
    """More than a form may have; of a longer one, enough is read to know that it is."""
    environ = {
        "wsgi.input": BytesIO(b" " * (5 << 20)),
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
        "PATH_INFO": "/v2/team/app/manifests/v1",
    }
    request_bodies.set_length(environ)
    assert int(environ["CONTENT_LENGTH"]) == request_bodies.LONGEST + 1 > (4 << 20) + 1


def test_totals_without_counting_all_tags(gate, app, monkeypatch):
    """The same as counted, whatever is pushed in whatever order."""
    images = [push_image(gate, app, None) for _ in range(3)]
    artifacts = [artifact(app, subject=subject) for subject in subjects_of(images[:2])]
    plain = [(image.content, DOCKER_MANIFEST) for image in images]
    chance = random.Random(7)
    counted = []
    count = pushed_manifest.refresh_totals_of_locked
    for module in (pushed_manifest, totals):
        monkeypatch.setattr(module, "refresh_totals_of_locked", lambda ids: (counted.append(ids), count(ids)))
    names = ["a", "b", "c", images[2].digest.replace(":", "-"), f"{images[0].digest.replace(':', '-')}.sig"]
    pushes = 60
    for _ in range(pushes):
        content, media_type = chance.choice([*plain, *plain, *((content, OCI_MANIFEST) for content in artifacts)])
        gate.put_manifest(app, chance.choice([*names, *names[:3]]), content, media_type)
        image = Image.objects.get(full_name=app)
        assert not refresh_totals(image.pk, changed=False), (image.tag_count, image.attachment_count, image.size)
    assert 0 < len(counted) < pushes


def test_totals_at_their_limit(gate, app):
    """Sizes are user input: their sum is cut, so nothing can be taken from it."""
    push_image(gate, app, "v1")
    layer = {"mediaType": OCI_EMPTY, "digest": digest_of(b"{}"), "size": (1 << 63) - 10}
    for tag, more in (("huge", {"layers": [layer]}), ("v1", {}), ("v2", {"layers": []}), ("huge", {})):
        gate.put_manifest(app, tag, artifact(app, **more), OCI_MANIFEST)
        assert not refresh_totals(Image.objects.get(full_name=app).pk, changed=False)


def subjects_of(images):
    return [{"mediaType": DOCKER_MANIFEST, "digest": one.digest, "size": len(one.content)} for one in images]


def test_the_number_of_statements(gate, app, team):
    """It does not grow with the tags."""
    push_image(gate, app, "v0")

    def count(tag):
        with CaptureQueriesContext(connection) as queries:
            push_image(gate, app, tag)
        return len([one for one in queries if "SAVEPOINT" not in str(one["sql"])])

    few = count("v1")
    image = Image.objects.get(full_name=app)
    for number in range(20):
        TagFactory(image=image, manifest=ManifestFactory(image=image), name=f"t{number}")
    assert count("v2") == few <= 16


def test_a_request_by_a_session_is_nothing_here(gate, app):
    """Cookies do not count: only the token does."""
    answer = gate.put(app, "v1", artifact(app), OCI_MANIFEST, headers={})
    assert answer.status_code == 401
    assert gate.client.session


def test_the_catalogue_is_the_gates_alone(registry_server):
    """A token for the readable part does not open the registry's own catalogue, which lists all repositories."""
    token = sign("ann", [Access("registry", "catalog", frozenset({"list"}))]).text
    headers = {"Authorization": f"Bearer {token}"}
    assert requests.get(f"{settings.REGISTRY_URL}/v2/_catalog", headers=headers, timeout=10).status_code == 401


def test_the_index_media_type(gate, app):
    child = push_image(gate, app, None)
    push_index(gate, app, "v1", [child])
    assert registry().resolve(app, "v1").media_type == OCI_INDEX


def test_another_client_has_no_session(gate, app):
    content = artifact(app)
    other = Client()
    answer = other.put(f"/v2/{app}/manifests/v1", content, content_type=OCI_MANIFEST, headers=gate.bearer(app))
    assert answer.status_code == 201
    assert not answer.cookies
