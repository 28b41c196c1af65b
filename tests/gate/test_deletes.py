"""Deleting tags and manifests through the gate."""

import datetime

import pytest
from django.db import OperationalError
from django.db.models import F
from procrastinate.contrib.django.models import ProcrastinateJob

from console.audit.models import AuditEvent
from console.gate import deletes, manifests
from console.registry.connection import registry
from console.registry.index import hints, jobs, reservations
from console.registry.index.models import Hint
from console.repositories.models import Image, Manifest, PushedDigest, Tag
from registry_client import OCI_INDEX, connections
from tests.support.factories import ImageFactory
from tests.support.http_servers import error_reply
from tests.support.pushed_artifacts import push_artifact
from tests.support.pushed_images import DOCKER_MANIFEST, present, push_image, push_index

pytestmark = pytest.mark.django_db


def tags(repository):
    return set(Tag.objects.filter(image__full_name=repository).values_list("name", flat=True))


def deleted(gate, repository, reference):
    answer = gate.delete(repository, reference)
    assert answer.status_code == 202, answer.content
    assert answer.content == b""
    assert not Hint.objects.exists()


class TestATag:
    def test_it_is_gone_and_others_stay(self, gate, app, ann):
        pushed = push_image(gate, app, "v1")
        gate.put_manifest(app, "same", pushed.content, DOCKER_MANIFEST)
        push_image(gate, app, "v2")
        deleted(gate, app, "v1")
        assert not present(registry(), app, "v1")
        assert present(registry(), app, "same") and present(registry(), app, "v2")
        assert sorted(registry().tags(app)) == ["same", "v2"]
        assert tags(app) == {"same", "v2"}
        assert Image.objects.get(full_name=app).tag_count == 2
        event = AuditEvent.objects.get(action="tag.deleted")
        assert (event.target, event.actor, event.detail) == (f"{app}:v1", ann.account_id, {"old": pushed.digest})
        assert event.address == "127.0.0.1"

    def test_its_manifest_stays(self, gate, app):
        """And is known, so that a deletion of the image takes it along."""
        pushed = push_image(gate, app, "v1")
        PushedDigest.objects.all().delete()
        deleted(gate, app, "v1")
        assert present(registry(), app, pushed.digest)
        assert PushedDigest.objects.get(repository=app).digest == pushed.digest
        deleted(gate, app, pushed.digest)
        assert not present(registry(), app, pushed.digest)

    def test_one_that_is_not_there(self, gate, app):
        assert gate.error(gate.delete(app, "v1"), 404)[0] == "NAME_UNKNOWN"
        push_image(gate, app, "v1")
        assert gate.error(gate.delete(app, "v2"), 404)[0] == "MANIFEST_UNKNOWN"
        deleted(gate, app, "v1")
        assert gate.error(gate.delete(app, "v1"), 404)[0] == "MANIFEST_UNKNOWN"
        assert not Hint.objects.exists()

    def test_one_that_only_the_index_has(self, gate, app):
        pushed = push_image(gate, app, "v1")
        registry().delete_manifest(app, pushed.digest)
        assert gate.error(gate.delete(app, "v1"), 404)[0] == "MANIFEST_UNKNOWN"
        hints.sync_repository(app)
        assert tags(app) == set()

    def test_it_can_be_pushed_again(self, gate, app):
        pushed = push_image(gate, app, "v1")
        deleted(gate, app, "v1")
        gate.put_manifest(app, "v1", pushed.content, DOCKER_MANIFEST)
        assert registry().resolve(app, "v1").digest == pushed.digest
        assert tags(app) == {"v1"}

    def test_a_push_in_between_stays(self, gate, app, monkeypatch):
        push_image(gate, app, "v1")
        untag, pushed = deletes.untag, []

        def push_first(*arguments):
            pushed.append(push_image(gate, app, "v1"))
            return untag(*arguments)

        monkeypatch.setattr(deletes, "untag", push_first)
        assert gate.delete(app, "v1").status_code == 202
        assert registry().resolve(app, "v1").digest == pushed[0].digest
        hints.sync_repository(app)
        assert Tag.objects.get(name="v1").manifest.digest == pushed[0].digest

    def test_a_registry_that_does_not_delete(self, gate, app, settings, between):
        """Nothing is changed: the tag is not left at the tombstone."""
        settings.REGISTRY_IS_OURS = False
        pushed = push_image(gate, app, "v1")
        between.strange = lambda request: error_reply(405, "UNSUPPORTED") if request.method == "DELETE" else None
        assert gate.error(gate.delete(app, "v1"), 405)[0] == "UNSUPPORTED"
        assert registry().resolve(app, "v1").digest == pushed.digest
        hints.sync_repository(app)
        assert tags(app) == {"v1"}


class TestAManifest:
    def test_it_is_gone_with_its_tags(self, gate, app, ann):
        pushed = push_image(gate, app, "v1")
        gate.put_manifest(app, "same", pushed.content, DOCKER_MANIFEST)
        push_image(gate, app, "v2")
        deleted(gate, app, pushed.digest)
        assert registry().tags(app) == ["v2"]
        assert tags(app) == {"v2"}
        assert not Manifest.objects.filter(digest=pushed.digest).exists()
        assert not present(registry(), app, pushed.digest)
        events = AuditEvent.objects.filter(action="tag.deleted").order_by("target").values_list("target", "actor")
        assert list(events) == [(f"{app}:{tag}", ann.account_id) for tag in ("same", "v1")]
        assert gate.error(gate.delete(app, pushed.digest), 404)[0] == "MANIFEST_UNKNOWN"

    def test_without_a_tag(self, gate, app):
        image = push_image(gate, app, "v1")
        made = push_artifact(gate, app, None, image)
        deleted(gate, app, made.digest)
        assert gate.get(app, f"referrers/{image.digest}").json()["manifests"] == []

    def test_in_a_repository_without_tags(self, gate, app):
        pushed = push_image(gate, app, None)
        deleted(gate, app, pushed.digest)
        assert not present(registry(), app, pushed.digest)
        assert gate.error(gate.delete(app, pushed.digest), 404)[0] in {"NAME_UNKNOWN", "MANIFEST_UNKNOWN"}

    def test_a_platform_of_an_index(self, gate, app):
        """The index shows less afterwards: the worker reads it again."""
        children = [push_image(gate, app, None) for _ in range(2)]
        index = push_index(gate, app, "v1", children)
        assert gate.delete(app, children[0].digest).status_code == 202
        hints.sync_repository(app)
        row = Manifest.objects.get(digest=index.digest)
        assert (row.media_type, row.size) == (OCI_INDEX, children[1].size)
        assert not Hint.objects.exists()

    @pytest.mark.parametrize("before", ["v1", None], ids=["with a tag", "the image's first tag"])
    def test_a_push_of_a_tag_in_progress(self, gate, app, monkeypatch, before):
        """The registry deletes the tag with the manifest before the push writes its row; the worker removes the row."""
        pushed = push_image(gate, app, before)
        index = manifests._index

        def delete_first(*arguments):
            assert gate.delete(app, pushed.digest).status_code == 202
            index(*arguments)

        monkeypatch.setattr(manifests, "_index", delete_first)
        gate.put_manifest(app, "new", pushed.content, DOCKER_MANIFEST)
        assert registry().tags(app) == []
        assert Hint.objects.filter(repository=app, tag="new").exists()
        Hint.objects.update(pushed_at=F("pushed_at") - datetime.timedelta(minutes=1))
        assert reservations.left() == {app}
        hints.sync_repository(app)
        assert tags(app) == set()
        assert not Hint.objects.exists()


class TestTheRules:
    def test_another_account(self, gate):
        other = ImageFactory()
        assert gate.error(gate.delete(other.repository, "v1"), 403)[0] == "DENIED"

    def test_an_image_that_is_being_deleted(self, gate, team):
        ImageFactory(namespace=team, name="going", state="deleting")
        code, message = gate.error(gate.delete("team/going", "v1"), 403)
        assert code == "DENIED" and "being deleted" in message
        assert not Hint.objects.exists()


def test_what_cannot_be_written_down_is_left_to_the_worker(gate, app, monkeypatch):
    push_image(gate, app, "v1")

    def fail(*_arguments):
        raise OperationalError

    monkeypatch.setattr(deletes.deleted, "forget", fail)
    assert gate.delete(app, "v1").status_code == 202
    jobs.sync_left_hints()
    assert ProcrastinateJob.objects.filter(task_name="indexing.follow_hints", args={"repository": app}).exists()
    hints.sync_repository(app)
    assert tags(app) == set()


def test_the_registry_is_away(gate, app, settings, monkeypatch):
    monkeypatch.setattr(connections, "_BACKOFF_SECONDS", 0.0)
    push_image(gate, app, "v1")
    settings.CONSOLE_REGISTRY_URL = "http://127.0.0.1:9"
    assert gate.error(gate.delete(app, "v1"), 503)[0] == "UNAVAILABLE"
    assert Hint.objects.get().tag == "v1"
    assert tags(app) == {"v1"}
