"""Pushes through the gate at the same moment: quotas, the same tag, deletions, the worker, and fairness."""

import datetime
import json
import threading

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client

from console.gate import fairness, manifests
from console.gate.errors import ProtocolError
from console.registry import jobs
from console.registry.connection import registry
from console.registry.index import hints, reservations
from console.registry.index import jobs as index_jobs
from console.registry.index.models import Hint
from console.repositories.models import Image, Manifest, PushedDigest, Tag
from console.repositories.services import mark_image_for_deletion
from registry_client import OCI_EMPTY, OCI_MANIFEST, ManifestUnknown
from tests.gate.conftest import GateClient
from tests.support.concurrency import all_at_once
from tests.support.factories import ImageFactory
from tests.support.pushed_images import DOCKER_MANIFEST, digest_of, push_blob, push_image, push_index

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("registry_server")]


def artifact(repository, **more):
    """The bytes of a small artifact whose blob the registry has."""
    push_blob(registry(), repository, b"{}")
    entry = {"mediaType": OCI_EMPTY, "digest": digest_of(b"{}"), "size": 2}
    return json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": entry, "layers": [entry], **more}
    ).encode()


def put_at_once(gate, *pushes):
    """Put manifests at the same time, each by a client of its own; returns the statuses, in order."""
    statuses = {}

    def put(number, repository, reference, content):
        own = GateClient(Client(), gate.username)
        statuses[number] = own.put(repository, reference, content, OCI_MANIFEST).status_code

    assert not all_at_once(*(lambda one=one: put(*one) for one in [(n, *push) for n, push in enumerate(pushes)]))
    return [statuses[number] for number in range(len(pushes))]


class TestQuotas:
    def test_new_tags(self, gate, app, ann):
        ann.tag_quota = 3
        ann.save()
        push_image(gate, app, "v0")
        content = artifact(app)
        statuses = put_at_once(gate, *((app, f"v{number}", content) for number in range(1, 7)))
        assert sorted(statuses) == [201, 201, 403, 403, 403, 403]
        assert Tag.objects.count() == 3

    def test_new_tags_of_a_new_image(self, gate, app, ann):
        ann.tag_quota = 2
        ann.save()
        content = artifact(app)
        statuses = put_at_once(gate, *((app, f"v{number}", content) for number in range(6)))
        assert sorted(statuses) == [201, 201, 403, 403, 403, 403]

    def test_new_images(self, gate, app, ann, team):
        ann.image_quota = 3
        ann.save()
        ImageFactory(namespace=team)
        names = [f"{app}-{number}" for number in range(6)]
        content = [artifact(name) for name in names][0]
        statuses = put_at_once(gate, *((name, "v1", content) for name in names))
        assert sorted(statuses) == [201, 201, 403, 403, 403, 403]
        assert Image.objects.filter(namespace=team).count() == 3

    def test_images_that_are_being_pushed_count(self, gate, app, ann, team):
        ann.image_quota = 1
        ann.save()
        waiting = reservations.reserve(f"{team.name}/other", "v1", "2026-01-01T00:00Z", "ann", digest_of(b""))
        content = artifact(app)
        assert "image limit (1)" in gate.error(gate.put(app, "v1", content, OCI_MANIFEST), 403)[1]
        reservations.release(waiting)
        assert gate.put(app, "v1", content, OCI_MANIFEST).status_code == 201

    def test_an_image_that_begins_with_a_referrer(self, gate, app, ann):
        """It has no tag, but its subject gives it a row."""
        ann.image_quota = 0
        ann.save()
        subject = {"mediaType": OCI_MANIFEST, "digest": digest_of(b"later"), "size": 5}
        content = artifact(app, subject=subject)
        assert "image limit (0)" in gate.error(gate.put(app, digest_of(content), content, OCI_MANIFEST), 403)[1]
        # Without a subject no row, and no image.
        gate.put_manifest(app, digest_of(artifact(app)), artifact(app), OCI_MANIFEST)
        assert not Image.objects.exists()


class TestTheSameTag:
    def test_index_and_registry_agree(self, gate, app):
        push_image(gate, app, "v1")
        contents = [artifact(app, annotations={"number": str(number)}) for number in range(6)]
        assert put_at_once(gate, *((app, "v1", content) for content in contents)) == [201] * 6
        hints.sync_repository(app)
        present = registry().resolve(app, "v1").digest
        assert Tag.objects.select_related("manifest").get().manifest.digest == present
        assert not Hint.objects.exists()

    def test_one_that_shares_its_children(self, gate, app):
        """Each client puts the platforms again, as Docker does."""
        children = [push_image(gate, app, None) for _ in range(2)]
        problems = all_at_once(
            *(
                lambda number=number: [
                    push_again(GateClient(Client(), gate.username), app, children, f"{number}-{turn}")
                    for turn in range(5)
                ]
                for number in range(4)
            )
        )
        assert not problems
        hints.sync_repository(app)
        assert Tag.objects.filter(image__full_name=app).count() == 20
        assert Manifest.objects.filter(image__full_name=app, is_child=True).count() == 2


def push_again(gate, repository, children, tag):
    """Put the children, then an index of them with a tag."""
    for child in children:
        gate.put_manifest(repository, child.digest, child.content, DOCKER_MANIFEST)
    push_index(gate, repository, tag, children)


class TestDeletions:
    def test_of_the_image_during_the_push(self, gate, app, ann, monkeypatch):
        """The deletion has begun when the manifest reaches the registry: it removes that, too."""
        push_image(gate, app, "v1")
        put = manifests._put

        def put_and_delete(push, reference):
            put(push, reference)
            mark_image_for_deletion(ann, Image.objects.get(full_name=app))

        monkeypatch.setattr(manifests, "_put", put_and_delete)
        pushed = push_image(gate, app, "v2")
        jobs.delete_image(Image.objects.get(full_name=app).pk)
        for reference in ("v2", pushed.digest):
            with pytest.raises(ManifestUnknown):
                registry().resolve(app, reference)
        assert not Hint.objects.exists()

    def test_of_a_new_tag_that_is_not_in_the_index_yet(self, gate, app, monkeypatch):
        push_image(gate, app, "v1")
        sync = manifests.pushed_manifest.sync_pushed_manifest

        def delete_and_sync(push, *arguments, **options):
            assert GateClient(Client(), gate.username).delete(app, push.reference).status_code == 202
            return sync(push, *arguments, **options)

        monkeypatch.setattr(manifests.pushed_manifest, "sync_pushed_manifest", delete_and_sync)
        push_image(gate, app, "v2")
        # The worker tries again for a while: storage may show a push later.
        Hint.objects.update(pushed_at=F("pushed_at") - datetime.timedelta(hours=1))
        hints.sync_repository(app)
        assert set(Tag.objects.filter(image__full_name=app).values_list("name", flat=True)) == {"v1"}
        assert registry().tags(app) == ["v1"]
        assert not Hint.objects.exists()

    def test_of_the_image_at_the_same_time(self, gate, app, ann):
        """Whichever is first: in the end index and registry have the same."""
        push_image(gate, app, "v1")
        content = artifact(app)

        def delete():
            image = Image.objects.get(full_name=app)
            mark_image_for_deletion(ann, image)
            jobs.delete_image(image.pk)

        def push():
            GateClient(Client(), gate.username).put(app, "v2", content, OCI_MANIFEST)

        assert not all_at_once(delete, push)
        for image in Image.objects.filter(full_name=app, state="deleting"):
            jobs.delete_image(image.pk)
        hints.sync_repository(app)
        tags = set(Tag.objects.filter(image__full_name=app).values_list("name", flat=True))
        assert set(registry().tags(app)) == tags
        if not tags:
            with pytest.raises(ManifestUnknown):
                registry().resolve(app, digest_of(content))


class TestTheWorker:
    def test_it_syncs_the_repository_during_the_push(self, gate, app, monkeypatch):
        """It may write the tag before the request does."""
        push_image(gate, app, "v1")
        put = manifests._put

        def put_and_sync(push, reference):
            put(push, reference)
            hints.sync_repository(app)

        monkeypatch.setattr(manifests, "_put", put_and_sync)
        pushed = push_image(gate, app, "v1")
        tag = Tag.objects.select_related("manifest").get(image__full_name=app)
        assert (tag.manifest.digest, tag.pushed_by) == (pushed.digest, gate.username)
        assert not Hint.objects.exists()

    def test_it_syncs_before_the_registry_has_it(self, gate, app, monkeypatch):
        put = manifests._put

        def sync_and_put(push, reference):
            index_jobs.sync_left_hints()
            hints.sync_all(lambda repository: None)
            put(push, reference)

        monkeypatch.setattr(manifests, "_put", sync_and_put)
        push_image(gate, app, "v1")
        assert Tag.objects.get(image__full_name=app).name == "v1"
        assert not Hint.objects.exists()


class TestFairness:
    @pytest.fixture(autouse=True)
    def few_threads(self, settings, monkeypatch):
        settings.WEB_THREADS = 4
        monkeypatch.setattr(fairness, "_PATIENCE", 0)

    def test_slow_pushes_leave_threads_to_others(self, gate, app, ann):
        content = artifact(app)
        with fairness.turn_of(gate.username), fairness.turn_of(gate.username):
            for answer in (gate.put(app, "v1", content, OCI_MANIFEST), gate.delete(app, "v1")):
                assert gate.error(answer, 429)[0] == "TOOMANYREQUESTS"
                assert answer["Retry-After"] == "3"
            assert not Hint.objects.exists() and not PushedDigest.objects.exists()
            with fairness.turn_of("somebody-else"):
                pass
        assert gate.put(app, "v1", content, OCI_MANIFEST).status_code == 201

    def test_a_short_one_is_waited_for(self, monkeypatch):
        monkeypatch.setattr(fairness, "_PATIENCE", 30)
        began, ended = threading.Event(), threading.Event()

        def occupy():
            with fairness.turn_of("ann"):
                began.set()
                ended.wait(30)

        others = [threading.Thread(target=occupy) for _ in range(2)]
        for other in others:
            other.start()
        began.wait(30)
        threading.Timer(0.05, ended.set).start()
        with fairness.turn_of("ann"):
            assert ended.is_set()
        for other in others:
            other.join()

    def test_many_wait_as_long_as_others_end(self, monkeypatch):
        """However long it takes all of them together."""
        monkeypatch.setattr(fairness, "_PATIENCE", 30)
        most, now, lock = [0], [0], threading.Lock()

        def request():
            with fairness.turn_of("ann"):
                with lock:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                with lock:
                    now[0] -= 1

        assert not all_at_once(*[request] * 20)
        assert most[0] <= 2
        assert not fairness._accounts

    def test_it_ends_with_an_exception(self):
        for _ in range(5):
            with pytest.raises(ZeroDivisionError), fairness.turn_of("ann"):
                raise ZeroDivisionError
        with fairness.turn_of("ann"), fairness.turn_of("ann"), pytest.raises(ProtocolError), fairness.turn_of("ann"):
            pass
        assert not fairness._accounts


def test_statements_are_prepared_again_after_a_table_was_changed(gate, app):
    push_image(gate, app, "v1")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE images_tag ADD COLUMN another integer")
        cursor.execute("DEALLOCATE ALL")
    try:
        push_image(gate, app, "v2")
        assert Tag.objects.count() == 2 and not Hint.objects.exists()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE images_tag DROP COLUMN another")
