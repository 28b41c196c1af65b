"""Pushes of manifests that meet a fault or another push: half-written links, outages, races."""

import json

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from procrastinate.contrib.django.models import ProcrastinateJob

from console.gate import manifests
from console.registry.connection import registry
from console.registry.index import hints, jobs, pushed_manifest, reservations
from console.registry.index.models import Hint
from console.repositories.models import Image, Manifest, PushedDigest, Tag
from registry_client import OCI_MANIFEST, connections
from tests.gate.conftest import artifact, puts
from tests.support.http_servers import Reply, error_reply
from tests.support.pushed_images import digest_of, push_image, push_index

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


class TestHalfWrittenLinks:
    """Distribution 2.8 empties a link while it writes it again, and refuses what names it in that moment."""

    def refuse(self, between, code, times, detail=None):
        left = [times]

        def strange(request):
            if request.method == "PUT" and "/manifests/" in request.path and left[0]:
                left[0] -= 1
                body = json.dumps({"errors": [{"code": code, "message": "unknown", "detail": detail}]}).encode()
                return Reply(400, body, {"Content-Type": "application/json"})
            return None

        between.strange = strange

    @pytest.mark.parametrize("code", ["DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN"])
    @pytest.mark.parametrize("whole", [True, False])
    def test_it_is_tried_again(self, gate, app, between, monkeypatch, code, whole):
        monkeypatch.setattr(manifests, "_PAUSES", (0, 0, 0, 0, 0))
        content = artifact(app)
        named = digest_of(b"{}")
        self.refuse(between, code, 3, named if whole else {"digest": named})
        gate.put_manifest(app, "v1", content, OCI_MANIFEST)
        assert registry().resolve(app, "v1").digest == digest_of(content)

    @pytest.mark.parametrize("code", ["DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN"])
    def test_not_for_ever(self, gate, app, between, monkeypatch, code):
        monkeypatch.setattr(manifests, "_PAUSES", (0, 0))
        content = artifact(app)
        self.refuse(between, code, -1, digest_of(b"{}"))
        assert gate.error(gate.put(app, "v1", content, OCI_MANIFEST), 400)[0] == code
        assert len(puts(between)) == 3
        assert not Hint.objects.exists()

    def test_what_is_really_missing(self, gate, app, between):
        content = artifact(app)
        self.refuse(between, "MANIFEST_BLOB_UNKNOWN", -1, digest_of(b"missing"))
        gate.put(app, "v1", content, OCI_MANIFEST)
        assert len(puts(between)) == 1


class TestFaults:
    def test_the_registry_is_away(self, gate, app, settings, monkeypatch):
        monkeypatch.setattr(connections, "_BACKOFF_SECONDS", 0.0)
        content = artifact(app)
        settings.CONSOLE_REGISTRY_URL = "http://127.0.0.1:9"
        answer = gate.put(app, "v1", content, OCI_MANIFEST)
        assert gate.error(answer, 503)[0] == "UNAVAILABLE"
        assert answer["Retry-After"]
        # Nobody knows whether it took the manifest: the hint stays.
        assert Hint.objects.get().tag == "v1"

    def test_the_registry_is_read_only(self, gate, app, between):
        content = artifact(app)
        between.strange = lambda request: error_reply(405, "UNSUPPORTED") if request.method == "PUT" else None
        code, message = gate.error(gate.put(app, "v1", content, OCI_MANIFEST), 405)
        assert (code, "disk may be full" in message) == ("UNSUPPORTED", True)
        assert not Hint.objects.exists()

    def test_the_registry_refuses_the_console(self, gate, app, between):
        content = artifact(app)
        between.strange = lambda request: error_reply(403, "DENIED") if request.method == "PUT" else None
        assert gate.error(gate.put(app, "v1", content, OCI_MANIFEST), 503)[0] == "UNAVAILABLE"

    def test_the_database_is_away(self, gate, app, monkeypatch):
        def fail(*_arguments, **_more):
            raise OperationalError("gone")

        monkeypatch.setattr("console.gate.lookup.find", fail)
        answer = gate.put(app, "v1", artifact(app), OCI_MANIFEST)
        assert gate.error(answer, 503)[0] == "UNAVAILABLE"

    def test_what_nobody_has_thought_of(self, gate, app, monkeypatch):
        def fail(*_arguments, **_more):
            raise ZeroDivisionError

        monkeypatch.setattr("console.gate.lookup.find", fail)
        code, message = gate.error(gate.put(app, "v1", artifact(app), OCI_MANIFEST), 500)
        assert code == "UNKNOWN" and "administrator" in message

    @pytest.mark.parametrize("error", [OperationalError, ZeroDivisionError])
    def test_what_cannot_be_written_down_is_left_to_the_worker(self, gate, app, monkeypatch, error):
        def fail(*_arguments, **_more):
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(pushed_manifest.store, "store_all", fail)
            gate.put_manifest(app, "v1", artifact(app), OCI_MANIFEST)
        assert ProcrastinateJob.objects.filter(task_name="indexing.follow_hints").exists()
        hints.sync_repository(app)
        assert Tag.objects.get(image__full_name=app).name == "v1"
        assert not Hint.objects.exists()

    def test_a_console_that_was_killed(self, app, gate):
        """What its hint says is synced by the worker, some seconds later."""
        content = artifact(app)
        registry().put_manifest(app, "v1", content, OCI_MANIFEST)
        reservations.reserve(app, "v1", "2026-01-01T00:00Z", gate.username, digest_of(content))
        jobs.sync_left_hints()
        assert ProcrastinateJob.objects.filter(task_name="indexing.follow_hints", args={"repository": app}).exists()
        hints.sync_repository(app)
        tag = Tag.objects.get(image__full_name=app)
        assert (tag.name, tag.pushed_by) == ("v1", gate.username)

    def test_hints_of_running_requests_are_passed_over(self, app, gate):
        reservations.reserve(app, "v1", "2100-01-01T00:00Z", gate.username)
        jobs.sync_left_hints()
        assert hints.sync_all(lambda repository: None) == 0
        assert not ProcrastinateJob.objects.filter(task_name="indexing.follow_hints").exists()

    def test_an_index_that_takes_too_long_is_left_to_the_worker(self, gate, app, monkeypatch):
        monkeypatch.setattr(pushed_manifest, "_MOST_SECONDS", -1)
        index = push_index(gate, app, "v1", [push_image(gate, app, None) for _ in range(2)])
        assert registry().resolve(app, "v1").digest == index.digest
        assert Hint.objects.get(tag="v1").digest == index.digest
        hints.sync_repository(app)
        assert Tag.objects.get(name="v1").manifest.child_count == 2


class TestRaces:
    def test_another_push_of_the_tag_in_between(self, gate, app, monkeypatch):
        """The index shows what the registry has, whichever of the two writes it first."""
        push_image(gate, app, "v1")
        others, put = [], manifests._put

        def put_and_lose(push, reference):
            put(push, reference)
            monkeypatch.setattr(manifests, "_put", put)
            others.append(push_image(gate, app, "v1"))

        monkeypatch.setattr(manifests, "_put", put_and_lose)
        push_image(gate, app, "v1")
        assert registry().resolve(app, "v1").digest == others[0].digest
        assert Tag.objects.get(name="v1").manifest.digest == others[0].digest
        assert not Hint.objects.exists()

    def test_a_deletion_in_between(self, gate, app, monkeypatch):
        push_image(gate, app, "v1")
        put = manifests._put

        def put_and_mark(push, reference):
            put(push, reference)
            Image.objects.filter(full_name=app).update(state="deleting")

        monkeypatch.setattr(manifests, "_put", put_and_mark)
        push_image(gate, app, "v2")
        assert not Tag.objects.filter(name="v2").exists()
        assert PushedDigest.objects.filter(repository=app).count() == 2


@pytest.mark.parametrize(("reference", "waits_once"), [("v1", True), ("", False)])
def test_the_disk_is_waited_for_once(gate, app, reference, waits_once):
    """A manifest that gets no row is written down in one transaction, which has to be on the disk."""
    content = artifact(app)
    with CaptureQueriesContext(connection) as queries:
        gate.put_manifest(app, reference or digest_of(content), content, OCI_MANIFEST)
    statements = [str(one["sql"]) for one in queries]
    assert statements.count("SET LOCAL synchronous_commit = off") == waits_once


def test_a_platform_that_cannot_be_read_now_is_left_to_the_worker(gate, app, between, monkeypatch):
    monkeypatch.setattr(connections, "_BACKOFF_SECONDS", 0.0)
    children = [push_image(gate, app, None) for _ in range(2)]
    unreadable = f"/manifests/{children[0].digest}"
    between.strange = lambda request: error_reply(500, "UNKNOWN") if request.path.endswith(unreadable) else None
    index = push_index(gate, app, "v1", children)
    assert Manifest.objects.get(digest=index.digest).size == children[1].size
    assert Hint.objects.filter(tag="v1").exists()
    between.strange = lambda request: None
    hints.sync_repository(app)
    assert Manifest.objects.get(digest=index.digest).size == index.size
    assert not Hint.objects.exists()
