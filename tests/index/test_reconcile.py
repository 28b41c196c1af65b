"""Walking over a registry and mending the index."""

import contextlib
import threading

import pytest
from django.db import OperationalError
from django.utils import timezone

from console.audit.models import AuditEvent
from console.registry.connection import registry
from console.registry.index import reconcile as walks
from console.registry.index.models import Reconcile, ReconcileItem
from console.registry.index.reconcile_repository import reconcile_one
from console.registry.index.sync import TagSync, reread_image
from console.registry.tombstone import TOMBSTONE, TOMBSTONE_MEDIA_TYPE
from console.repositories.models import Image, Tag
from console.repositories.totals import refresh_totals
from registry_client import RegistryError
from tests.support import disk
from tests.support.factories import ImageFactory, ManifestFactory, NamespaceFactory, TagFactory
from tests.support.fake_registry import fake_registry, indexed, names, own_registry, walk_over
from tests.support.http_servers import Reply, error_reply, json_reply
from tests.support.index_sync import reread_tag
from tests.support.pushed_images import DOCKER_MANIFEST, push_image, push_index

State = Reconcile.State


@pytest.fixture
def fake(settings, monkeypatch):
    with fake_registry(settings, monkeypatch) as fake:
        yield fake


@pytest.fixture
def own(registry_program, tmp_path, settings):
    with own_registry(registry_program, tmp_path, settings) as url:
        yield url


@pytest.fixture
def image():
    return ImageFactory(namespace=NamespaceFactory(name="team"), name="app")


@pytest.mark.django_db
class TestMending:
    """Against a real registry."""

    def test_tags_added_moved_and_removed(self, own, image):
        kept, gone = (push_image(registry(), image.repository, tag) for tag in ("kept", "gone"))
        push_image(registry(), image.repository, "moved")
        reread_image(image.repository)
        registry().delete_manifest(image.repository, gone.digest)
        moved = push_image(registry(), image.repository, "moved")
        added = push_image(registry(), image.repository, "added")
        walk, lines = walk_over()
        assert dict(image.tags.values_list("name", "manifest__digest")) == {
            "kept": kept.digest, "moved": moved.digest, "added": added.digest,
        }  # fmt: skip
        image.refresh_from_db()
        assert (image.tag_count, image.size) == (3, kept.size + moved.size + added.size)
        assert walk.state == State.DONE and walk.ended_at
        counted = {key: walk.counts[key] for key in ("added", "moved", "removed")}
        assert counted == {"added": 1, "moved": 1, "removed": 1}
        assert f"{image.repository}:added: added" in lines
        assert f"{image.repository}:moved: moved" in lines
        assert f"{image.repository}:gone: removed, no longer in the registry" in lines
        mended, removed = AuditEvent.objects.filter(action="index.mended").order_by("pk")
        assert (mended.target, mended.actor) == (image.repository, "reconcile")
        assert (mended.detail["added"], mended.detail["moved"], removed.detail["removed"]) == (
            ["added"], ["moved"], ["gone"],
        )  # fmt: skip

    def test_a_tag_that_cannot_be_read_is_put_back(self, own, image, tmp_path):
        """As a registry that is killed while it moves a tag leaves it."""
        pushed, unseen = push_image(registry(), image.repository, "v1"), push_image(registry(), image.repository, "v2")
        reread_tag(image.repository, "v1")
        root = tmp_path / "storage" / "docker" / "registry" / "v2"
        for tag in ("v1", "v2"):
            disk.break_tag(image.repository, tag, root)
        walk, lines = walk_over()
        assert registry().manifest(image.repository, "v1").content == pushed.content
        assert dict(image.tags.values_list("name", "manifest__digest")) == {"v1": pushed.digest}
        assert walk.counts["put_back"] == 1
        assert f"{image.repository}:v1: could not be read, and was restored" in lines
        assert AuditEvent.objects.get(action="index.mended").detail["put_back"] == ["v1"]
        # Of the other, nobody knows where it was.
        assert any(line.startswith(f"{image.repository}: v2 cannot be read") for line in lines)
        assert unseen.digest in disk.manifests(image.repository, root)

    def test_an_image_that_nobody_told_of(self, own):
        NamespaceFactory(name="team")
        pushed = push_image(registry(), "team/new/app", "v1")
        walk_over()
        image = Image.objects.get()
        assert (image.name, image.visibility, image.tag_count, image.size) == ("new/app", "private", 1, pushed.size)

    def test_the_last_tag_is_gone(self, own, image):
        pushed = push_image(registry(), image.repository, "v1")
        reread_image(image.repository)
        registry().delete_manifest(image.repository, pushed.digest)
        assert registry().tags(image.repository) == []
        walk_over()
        image.refresh_from_db()
        assert (names(image), image.tag_count, image.size, image.manifests.count()) == (set(), 0, 0, 0)

    def test_gone_manifests_are_forgotten_with_their_children(self, own, image):
        children = [push_image(registry(), image.repository, None) for _ in range(2)]
        index = push_index(registry(), image.repository, "multi", children)
        still = push_image(registry(), image.repository, "still")
        reread_image(image.repository)
        push_image(registry(), image.repository, "multi")
        push_image(registry(), image.repository, "still")
        for one in (index, *children):
            registry().delete_manifest(image.repository, one.digest)
        walk, lines = walk_over()
        digests = set(image.manifests.values_list("digest", flat=True))
        assert still.digest in digests  # no tag names it any more, but the registry has it
        assert len(digests) == 3
        assert walk.counts["forgotten"] == 3
        assert f"{image.repository}: 3 manifests are gone, and were removed" in lines
        assert AuditEvent.objects.get(action="index.mended").detail["forgotten"] == 3

    def test_a_child_that_another_index_names_stays(self, own, image):
        child = push_image(registry(), image.repository, None)
        one = push_index(registry(), image.repository, "one", [child])
        push_index(registry(), image.repository, "two", [child, push_image(registry(), image.repository, None)])
        reread_image(image.repository)
        registry().delete_manifest(image.repository, one.digest)
        walk_over()
        walk_over()
        assert names(image) == {"two"}
        assert image.manifests.get(digest=child.digest).is_child
        assert image.manifests.count() == 3

    def test_an_empty_disk_removes_nothing(self, own, image):
        TagFactory.create_batch(3, image=image)
        refresh_totals(image.pk)
        walk, lines = walk_over(share=100)
        assert walk.state == State.DONE
        assert image.tags.filter(missing_at=None).count() == 3
        assert lines == ["team/app: the registry does not know it; its 3 tags stay in the index"]

    def test_what_a_deletion_is_at_work_on_is_left_to_it(self, own, image):
        for tag in ("asked-for", "tombstone"):
            push_image(registry(), image.repository, tag)
        reread_image(image.repository)
        image.tags.filter(name="asked-for").update(state=Tag.State.DELETING)
        registry().put_manifest(image.repository, "tombstone", TOMBSTONE, TOMBSTONE_MEDIA_TYPE)
        image.tags.filter(name="tombstone").update(state=Tag.State.DELETING)
        gone = TagFactory(image=image, name="gone", state=Tag.State.DELETING)
        doomed = ManifestFactory(image=image, doomed=True)
        refresh_totals(image.pk)
        other = ImageFactory(namespace=image.namespace, state=Image.State.DELETING)
        TagFactory(image=other)
        push_image(registry(), other.repository, "new")
        before = list(Tag.objects.order_by("pk").values())
        _walk, lines = walk_over(share=100)
        assert list(Tag.objects.order_by("pk").values()) == before
        assert {gone.manifest, doomed} <= set(image.manifests.all())
        assert lines == []

    def test_pushes_without_pause(self, own, image):
        """Neither lost nor removed by the walk, which ends although they do not."""
        first = push_image(registry(), image.repository, "v0")
        reread_image(image.repository)
        enough, stop, pushed = threading.Event(), threading.Event(), []

        def push():
            while not stop.is_set():
                number = len(pushed) + 1
                registry().put_manifest(image.repository, f"v{number}", first.content, DOCKER_MANIFEST)
                push_image(registry(), f"team/app{number}", "v1")
                pushed.append(number)
                enough.set()

        thread = threading.Thread(target=push)
        thread.start()
        try:
            assert enough.wait(30)
            before = len(pushed)
            for _ in range(3):
                walk, _lines = walk_over()
                assert walk.state == State.DONE
        finally:
            stop.set()
            thread.join()
        assert names(image) >= {f"v{number}" for number in range(before + 1)}
        assert not Tag.objects.filter(missing_at__isnull=False).exists()
        walk_over()
        assert names(image) == set(registry().tags(image.repository))
        assert Image.objects.count() == 1 + len(pushed)


@pytest.mark.django_db
class TestProof:
    """Removal needs positive proof for each row."""

    @pytest.fixture
    def tags(self, fake, image):
        """Three indexed tags, of which the registry has no trace any more unless ``strange`` says otherwise."""
        indexed(fake, image, "v1", "v2", "v3")
        fake.repositories[image.repository] = {}
        return {"v1", "v2", "v3"}

    @pytest.mark.parametrize(
        "answer",
        [
            lambda: error_reply(401, "UNAUTHORIZED"),
            lambda: error_reply(403, "DENIED"),
            lambda: error_reply(404, "NAME_UNKNOWN"),
            lambda: Reply(404, b"<html>not found</html>", {"Content-Type": "text/html"}),
            lambda: Reply(500),
            lambda: Reply(503, b"<html>", {"Content-Type": "text/html"}),
            lambda: Reply(302, b"", {"Location": "http://127.0.0.1:9/"}),
            lambda: Reply(200, b"<html>welcome</html>", {"Content-Type": "text/html"}),
            lambda: Reply(200, b"{}", {"Content-Type": "application/json"}),
        ],
        ids=["401", "403", "404", "404-html", "500", "503", "302", "200-html", "200-empty"],
    )
    def test_a_registry_that_answers_everything_alike(self, fake, image, tags, answer):
        fake.strange = lambda request: answer()
        with contextlib.suppress(RegistryError):
            walk_over(share=100)
        with contextlib.suppress(RegistryError):
            walk_over(image.repository, share=100)
        assert names(image) == tags

    @pytest.mark.parametrize("status", [401, 403, 404, 500])
    @pytest.mark.parametrize("what", ["tags/list", "manifests"])
    def test_one_repository_that_cannot_be_read(self, fake, image, tags, status, what):
        """It keeps its rows, and does not hold up the others."""
        other = ImageFactory(namespace=image.namespace, name="zoo")
        fake.push(other.repository, "v1")

        def strange(request):
            return Reply(status) if image.repository in request.path and what in request.path else None

        fake.strange = strange
        walk, lines = walk_over(share=100)
        assert names(image) == tags
        assert names(other) == {"v1"}
        assert (walk.state, walk.counts["problems"]) == (State.DONE, 1)
        assert lines[0].startswith("team/app: ")

    def test_one_tag_that_cannot_be_read_does_not_hold_up_the_others(self, fake, image):
        indexed(fake, image, "v1", "v2", "v3")
        del fake.repositories[image.repository]["v3"]
        fake.push(image.repository, "v4")
        fake.strange = lambda request: Reply(500) if request.path.endswith("/v1") else None
        walk, lines = walk_over()
        assert names(image) == {"v1", "v2", "v4"}
        assert lines[-1] == "team/app:v3: removed, no longer in the registry"
        assert walk.counts["problems"] == 1

    def test_many_repositories_in_a_row_are_the_registrys_fault(self, fake, monkeypatch):
        monkeypatch.setattr(walks, "_MOST_UNREADABLE", 4)
        namespace = NamespaceFactory(name="team")
        for number in range(6):
            fake.push(f"team/app{number:02}", "v1")
        fake.strange = lambda request: Reply(500) if "tags/list" in request.path else None
        with pytest.raises(RegistryError):
            walk_over()
        walk = Reconcile.objects.get()
        assert (walk.state, walk.done, walk.items.count()) == (State.RUNNING, 4, 2)
        fake.strange = lambda request: None
        walk_over()
        assert namespace.images.count() == 2
        walk_over()
        assert namespace.images.count() == 6

    def test_one_that_cannot_be_handled_does_not_hold_up_the_others(self, fake, monkeypatch, caplog):
        namespace = NamespaceFactory(name="team")
        for name in ("team/one", "team/two"):
            fake.push(name, "v1")

        def look(name, **options):
            if name == "team/one":
                raise ValueError("a defect")
            return reconcile_one(name, **options)

        monkeypatch.setattr(walks, "reconcile_one", look)
        walk, lines = walk_over()
        assert (walk.state, walk.counts["problems"], namespace.images.get().name) == (State.DONE, 1, "two")
        assert lines[0] == "team/one: it could not be compared with the index: ValueError"
        assert "a defect" in caplog.text

    def test_a_database_that_is_away_ends_the_walk(self, fake, monkeypatch):
        def fail(name, **options):
            raise OperationalError

        fake.push("team/one", "v1")
        monkeypatch.setattr(walks, "reconcile_one", fail)
        with pytest.raises(OperationalError):
            walk_over()
        assert ReconcileItem.objects.count() == 1

    def test_another_registry_with_the_same_repository(self, fake, image):
        indexed(fake, image, *(f"v{number}" for number in range(12)))
        fake.repositories = {}
        fake.push(image.repository, "other", number=99)
        walk, _lines = walk_over()
        assert walk.state == State.ASKING
        assert names(image) == {"other", *(f"v{number}" for number in range(12))}

    def test_a_registry_that_goes_down_on_the_way(self, fake, image):
        indexed(fake, image, "v1", "v2")
        fake.push(image.repository, "v3")
        ImageFactory(namespace=image.namespace, name="zoo")
        fake.strange = lambda request: Reply(503) if fake.asked("/manifests/v3") else None
        with pytest.raises(RegistryError):
            walk_over()
        assert (Reconcile.objects.get().state, ReconcileItem.objects.count()) == (State.RUNNING, 2)

    def test_a_listed_tag_whose_manifest_is_gone(self, fake, image):
        indexed(fake, image, "v1", "v2")
        fake.strange = lambda request: error_reply(404, "MANIFEST_UNKNOWN") if "/manifests/v1" in request.path else None
        _walk, lines = walk_over(share=100)
        assert names(image) == {"v1", "v2"}
        assert lines == ["team/app: v1 is listed, but the registry does not have it"]

    def test_a_manifest_whose_tag_is_not_listed(self, fake, image):
        indexed(fake, image, "v1", "v2")
        fake.strange = lambda request: json_reply({"tags": ["v2"]}) if "tags/list" in request.path else None
        walk_over(share=100)
        assert names(image) == {"v1", "v2"}

    def test_pushed_again_before_it_is_removed(self, fake, image, tags, monkeypatch):
        decide = walks._decide

        def push_first(*arguments):
            fake.push(image.repository, "v2", number=1)
            decide(*arguments)

        monkeypatch.setattr(walks, "_decide", push_first)
        walk_over()
        assert names(image) == {"v2"}
        assert image.tags.get().missing_at is None

    def test_pushed_and_indexed_while_it_is_removed(self, fake, image, tags, monkeypatch):
        """After the registry said that the tag is gone, and before its row goes."""
        missing = TagSync.missing

        def push_first(reader, tag):
            gone = missing(reader, tag)
            if tag == "v2" and not fake.repositories[image.repository]:
                fake.push(image.repository, "v2", number=9)
                reread_tag(image.repository, "v2", pushed_at=timezone.now())
            return gone

        monkeypatch.setattr(TagSync, "missing", push_first)
        walk_over()
        assert names(image) == {"v2"}

    def test_pushed_and_indexed_after_the_first_answer(self, fake, image, tags, monkeypatch):
        """The list of tags, fetched for the tag before, does not know of it yet."""
        forget = TagSync._forget

        def push_first(reader, tag):
            if tag == "v2":
                fake.push(image.repository, "v2", number=9)
                reread_tag(image.repository, "v2", pushed_at=timezone.now())
            return forget(reader, tag)

        monkeypatch.setattr(TagSync, "_forget", push_first)
        walk_over()
        assert names(image) == {"v2"}

    def test_indexed_at_the_last_moment(self, fake, image, tags, monkeypatch):
        from console.registry.index import sync as services

        last_look = services.digest_of

        def push_after(repository, tag):
            found = last_look(repository, tag)
            if tag == "v2":
                fake.push(image.repository, "v2", number=1)
                reread_tag(image.repository, "v2", pushed_at=timezone.now())
            return found

        monkeypatch.setattr(services, "digest_of", push_after)
        walk_over()
        assert names(image) == {"v2"}

    def test_a_manifest_that_cannot_be_asked_for_is_not_forgotten(self, fake, image):
        indexed(fake, image, "v1")
        ManifestFactory(image=image)
        fake.strange = lambda request: Reply(500) if "sha256:" in request.path else None
        walk_over()
        assert image.manifests.count() == 2
