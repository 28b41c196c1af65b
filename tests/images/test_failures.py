"""Work that cannot be done: tried a bounded number of times, given up, shown, and tried again when somebody asks."""

import contextlib

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from console.access.roles import Role
from console.images.views import own_image
from console.registry import jobs
from console.registry.connection import registry
from console.registry.index import hints, reconcile, sync
from console.registry.index import jobs as index_jobs
from console.registry.index.hints import Notice
from console.repositories import failures, pushed_digests
from console.repositories.failures import MOST_TRIES, Kind
from console.repositories.models import Copy, Document, Image, Tag, WorkFailure
from console.repositories.services import mark_image_for_deletion, mark_tags_for_deletion
from registry_client import RegistryClient, RegistryError, RegistryUnavailable, Unsupported
from tests.images import copies
from tests.support import disk
from tests.support.factories import AccountFactory, GrantFactory, ImageFactory
from tests.support.http_servers import running_registry
from tests.support.pushed_images import push_index
from tests.support.tags import agrees, indexed, push

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


@pytest.fixture
def image(team):
    return ImageFactory(namespace=team)


@contextlib.contextmanager
def failing(monkeypatch, method, error):
    def fail(*_arguments, **_options):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(RegistryClient, method, fail)
        yield


def damage(path):
    """Leave a link empty, as a power cut may."""
    path.write_text("")


def revision(image, digest):
    return disk._folder(image.repository, None) / "_manifests" / "revisions" / "sha256" / digest[7:] / "link"


def layer(image, digest):
    return disk._folder(image.repository, None) / "_layers" / "sha256" / digest[7:] / "link"


def content(digest):
    return disk.ROOT / "blobs" / "sha256" / digest[7:9] / digest[7:] / "data"


def exhaust(run):
    """Let a job fail until it is given up; how often it was tried."""
    for number in range(1, 50):
        try:
            run()
        except (RegistryError, RuntimeError):
            continue
        return number
    raise AssertionError("it is tried for ever")


class TestDamagedStorage:
    """What the registry can neither read nor delete keeps nothing else from being deleted."""

    def test_a_manifest_whose_link_is_broken_is_mended_and_deleted(self, image):
        made = push(image, "v1")
        indexed(image)
        damage(revision(image, made.digest))
        mark_image_for_deletion(image.namespace.owner, image)
        jobs.delete_image(image.pk)
        assert disk.left_of(image.repository) == []
        assert not Image.objects.exists() and not WorkFailure.objects.exists()

    def test_one_that_nobody_has_the_bytes_of_is_left(self, image):
        made, other = push(image, "v1"), push(image, "v2")
        indexed(image)
        Document.objects.filter(digest=made.digest).delete()
        damage(revision(image, made.digest))
        mark_image_for_deletion(image.namespace.owner, image)
        jobs.delete_image(image.pk)
        assert not Image.objects.exists()
        assert disk.left_of(image.repository) == [str(revision(image, made.digest))]
        assert WorkFailure.objects.get().reference == made.digest
        assert str(WorkFailure.objects.get()) == f"{image.repository}@{made.digest}"
        assert other.digest not in disk.manifests(image.repository)

    def test_a_blob_whose_link_is_broken_is_left(self, image):
        made = push(image, "v1")
        indexed(image)
        damage(layer(image, made.blobs[1]))
        mark_image_for_deletion(image.namespace.owner, image)
        jobs.delete_image(image.pk)
        assert not Image.objects.exists()
        assert disk.left_of(image.repository) == [str(layer(image, made.blobs[1]))]
        assert (WorkFailure.objects.get().kind, WorkFailure.objects.get().reference) == (Kind.LEFT, made.blobs[1])

    @pytest.mark.parametrize("spoilt", [b"garbage", b'{"schemaVersion": 2}'])
    def test_a_manifest_of_other_content(self, image, spoilt):
        digest = push(image, "v1").digest
        pushed_digests.remember([(image.repository, digest)])
        content(digest).write_bytes(spoilt)
        mark_image_for_deletion(image.namespace.owner, image)
        jobs.delete_image(image.pk)
        assert not Image.objects.exists()
        assert disk.manifests(image.repository) == set() == set(disk.tags(image.repository))

    def test_deleting_tags(self, image):
        made = push(image, "v1")
        push(image, "v2")
        indexed(image)
        Document.objects.filter(digest=made.digest).delete()
        damage(revision(image, made.digest))
        mark_tags_for_deletion(image.namespace.owner, image, ["v1"])
        jobs.delete_tags(image.pk, [])
        assert set(image.tags.values_list("name", flat=True)) == {"v2"}
        assert WorkFailure.objects.get().kind == Kind.LEFT

    def test_a_registry_that_deletes_nothing_is_not_taken_for_a_damaged_digest(self, image, monkeypatch):
        push(image, "v1")
        indexed(image)
        mark_image_for_deletion(image.namespace.owner, image)
        broken = RegistryUnavailable("broken", status=500)
        with failing(monkeypatch, "delete_manifest", broken), pytest.raises(RegistryUnavailable):
            jobs.delete_image(image.pk)
        assert Image.objects.get().state == Image.State.DELETING
        assert "server error" in image.deletion.problem


class TestDeletions:
    def test_a_registry_that_does_not_delete(self, client, image, registry_program, tmp_path, monkeypatch):
        """A real one. The image is as it was, and can be pushed to."""
        with running_registry(registry_program, tmp_path, deletes=False) as url:
            monkeypatch.setattr(settings, "CONSOLE_REGISTRY_URL", url)
            made = push(image, "v1")
            indexed(image)
            mark_image_for_deletion(image.namespace.owner, image)
            for _ in range(MOST_TRIES - 1):
                with pytest.raises(Unsupported):
                    jobs.delete_image(image.pk)
            assert "does not allow deletions" in Image.objects.get().deletion.problem
            jobs.delete_image(image.pk)
            image = Image.objects.get()
            assert image.state == Image.State.ACTIVE and not hasattr(image, "deletion")
            sync.reread_image(image.repository)
            assert registry().resolve(image.repository, "v1").digest == made.digest
            assert image.tags.get().manifest.digest == made.digest
        page = client.get(reverse("image-tags", args=[image.repository])).content.decode()
        assert "The image was not deleted." in page and "does not allow deletions" in page and "Try again" in page
        failure = WorkFailure.objects.get()
        assert (failure.kind, failure.tries) == (Kind.DELETE_IMAGE, MOST_TRIES)

    def test_it_can_be_asked_for_again_and_finds_what_the_first_had_found(self, client, image, monkeypatch):
        """What it had listed and no tag names any more would not be found a second time."""
        made = [push(image, f"v{number}") for number in range(3)]
        indexed(image)
        mark_image_for_deletion(image.namespace.owner, image)
        with failing(monkeypatch, "delete_blob", RegistryError("no", status=409)):
            assert exhaust(lambda: jobs.delete_image(image.pk)) == MOST_TRIES
        assert disk.tags(image.repository) == {} and len(disk.manifests(image.repository)) == 3
        sync.reread_image(image.repository)
        image.refresh_from_db()
        assert (image.state, image.tag_count) == (Image.State.ACTIVE, 0)
        image.manifests.all().delete()
        failure = WorkFailure.objects.get(kind=Kind.DELETE_IMAGE)
        client.post(reverse("failure-retry", args=[image.repository, failure.pk]))
        assert not WorkFailure.objects.exists()
        jobs.delete_image(image.pk)
        assert not Image.objects.exists() and len(made) == 3
        assert disk.left_of(image.repository) == []

    def test_tags_that_a_deletion_left_at_the_tombstone_go_from_the_index(self, image, monkeypatch):
        push(image, "v1")
        indexed(image)
        mark_image_for_deletion(image.namespace.owner, image)
        real, calls = RegistryClient.delete_manifest, iter([True])

        def once(*arguments, **options):
            if next(calls, False):
                return real(*arguments, **options)
            raise RegistryError("no", status=409)

        with monkeypatch.context() as patched:
            patched.setattr(RegistryClient, "delete_manifest", once)
            exhaust(lambda: jobs.delete_image(image.pk))
        assert list(disk.tags(image.repository)) == ["v1"]
        sync.reread_image(image.repository)
        assert not image.tags.exists()

    def test_tags_marked_before_the_image_was_are_deleted_after_all(self, image, monkeypatch):
        push(image, "v1")
        push(image, "v2")
        indexed(image)
        mark_tags_for_deletion(image.namespace.owner, image, ["v1"])
        mark_image_for_deletion(image.namespace.owner, image)
        jobs.delete_tags(image.pk, [])  # it ends: the image is being deleted
        ProcrastinateJob.objects.all().delete()
        with failing(monkeypatch, "tags", RegistryError("no", status=409)):
            exhaust(lambda: jobs.delete_image(image.pk))
        job = ProcrastinateJob.objects.get(task_name="images.delete_tags")
        jobs.delete_tags(**job.args)
        assert agrees(image) == {"v2"}

    def test_what_nobody_thought_of(self, image, monkeypatch):
        push(image, "v1")
        indexed(image)
        mark_image_for_deletion(image.namespace.owner, image)
        with failing(monkeypatch, "tags", RuntimeError("a defect")):
            assert exhaust(lambda: jobs.delete_image(image.pk)) == MOST_TRIES
        failure = WorkFailure.objects.get()
        assert (failure.sentence, failure.detail) == (failures.BROKEN, "RuntimeError: a defect")

    def test_a_registry_whose_disk_is_full_is_waited_for(self, image, monkeypatch):
        """It refuses to store, too, and deletes again when there is room."""
        push(image, "v1")
        mark_image_for_deletion(image.namespace.owner, image)
        with failing(monkeypatch, "put_manifest", Unsupported("read only", status=405)):
            for _ in range(MOST_TRIES * 2):
                with pytest.raises(Unsupported):
                    jobs.delete_image(image.pk)
            WorkFailure.objects.update(first_at=timezone.now() - failures.PATIENCE)
            jobs.delete_image(image.pk)
        assert Image.objects.get().state == Image.State.ACTIVE

    def test_tags(self, client, image, monkeypatch):
        push(image, "v1")
        push(image, "v2")
        indexed(image)
        mark_tags_for_deletion(image.namespace.owner, image, ["v1"])
        with failing(monkeypatch, "put_manifest", RegistryError("no", status=400)):
            assert exhaust(lambda: jobs.delete_tags(image.pk, [])) == MOST_TRIES
        tag = image.tags.get(name="v1")
        assert tag.state == Tag.State.ACTIVE and tag.problem.startswith("The registry refused")
        assert "not deleted" in client.get(reverse("image-tags", args=[image.repository])).content.decode()
        failure = WorkFailure.objects.get()
        client.post(reverse("failure-retry", args=[image.repository, failure.pk]))
        jobs.delete_tags(image.pk, [])
        assert agrees(image) == {"v2"}
        assert not WorkFailure.objects.exists()

    def test_tags_that_are_gone_are_not_said_to_be_there(self, client, image, monkeypatch):
        """A deletion of tags that was given up left them at the tombstone, and the index has forgotten them."""
        push(image, "v1")
        push(image, "v2")
        indexed(image)
        mark_tags_for_deletion(image.namespace.owner, image, ["v1"])
        real = RegistryClient.delete_manifest
        calls = iter([True])

        def once(*arguments, **options):
            if next(calls, False):
                return real(*arguments, **options)
            raise RegistryError("no", status=409)

        with monkeypatch.context() as patched:
            patched.setattr(RegistryClient, "delete_manifest", once)
            assert exhaust(lambda: jobs.delete_tags(image.pk, [])) == MOST_TRIES
        sync.reread_image(image.repository)
        assert set(image.tags.values_list("name", flat=True)) == {"v2"}
        assert set(disk.tags(image.repository)) == {"v1", "v2"}
        failure = WorkFailure.objects.get()
        client.post(reverse("failure-retry", args=[image.repository, failure.pk]))
        job = ProcrastinateJob.objects.get(task_name="images.delete_leftovers")
        jobs.delete_leftovers(**job.args)
        assert set(disk.tags(image.repository)) == {"v2"}
        assert not WorkFailure.objects.exists()

    def test_a_failure_after_the_last_tag_went_is_not_shown(self, image, monkeypatch):
        push(image, "v1")
        indexed(image)
        mark_tags_for_deletion(image.namespace.owner, image, ["v1"])
        with monkeypatch.context() as patched:
            patched.setattr(jobs.tags, "_remove_doomed", lambda *_: 1 / 0)
            for _ in range(MOST_TRIES - 1):
                with pytest.raises(ZeroDivisionError):
                    jobs.delete_tags(image.pk, [])
            jobs.delete_tags(image.pk, [])
        assert not image.tags.exists() and not WorkFailure.objects.exists()

    def test_an_image_never_pushed_to_needs_no_registry_that_deletes(
        self, image, registry_program, tmp_path, monkeypatch
    ):
        with running_registry(registry_program, tmp_path, deletes=False) as url:
            monkeypatch.setattr(settings, "CONSOLE_REGISTRY_URL", url)
            mark_image_for_deletion(image.namespace.owner, image)
            jobs.delete_image(image.pk)
        assert not Image.objects.exists()

    @pytest.mark.parametrize("error", [RegistryUnavailable("down"), RegistryUnavailable("down", status=503)])
    def test_an_outage_is_waited_for_however_long(self, image, monkeypatch, error):
        push(image, "v1")
        mark_image_for_deletion(image.namespace.owner, image)
        with failing(monkeypatch, "tags", error):
            for _ in range(MOST_TRIES * 3):
                with pytest.raises(RegistryUnavailable):
                    jobs.delete_image(image.pk)
        assert not WorkFailure.objects.exists()
        jobs.delete_image(image.pk)
        assert not Image.objects.exists()


class TestTags:
    def test_one_that_the_registry_cannot_read(self, client, image):
        """It is shown as such, and no longer asked for every half minute; pushed again, it is there."""
        push(image, "odd")
        push(image, "fine")
        disk.break_tag(image.repository, "odd")
        hints.remember([Notice(image.repository, "odd"), Notice(image.repository, "fine")])
        tries = exhaust(lambda: hints.sync_repository(image.repository))
        assert tries == MOST_TRIES
        assert hints.sync_repository(image.repository) == 0
        assert set(image.tags.values_list("name", flat=True)) == {"fine"}
        page = client.get(reverse("image-tags", args=[image.repository])).content.decode()
        assert "“odd” cannot be shown." in page
        failure = WorkFailure.objects.get()
        made = push(image, "odd")
        client.post(reverse("failure-retry", args=[image.repository, failure.pk]))
        job = ProcrastinateJob.objects.get(task_name="indexing.reread_tag")
        index_jobs.reread_tag(**job.args)
        index_jobs.sync_all_hints()
        assert image.tags.get(name="odd").manifest.digest == made.digest
        assert not WorkFailure.objects.exists()

    def test_an_index_of_which_a_platform_cannot_be_read(self, client, image):
        """First it is waited for; then what there is of it is shown."""
        children = [push(image), push(image)]
        push_index(registry(), image.repository, "multi", children)
        damage(revision(image, children[0].digest))
        hints.remember([Notice(image.repository, "multi")])
        assert exhaust(lambda: hints.sync_repository(image.repository)) == MOST_TRIES
        assert image.tags.get().manifest.child_digests == [one.digest for one in children]
        assert image.tags.get().manifest.size == children[1].size
        assert not WorkFailure.objects.exists()
        page = client.get(reverse("tag", args=[image.repository, "multi"])).content.decode()
        assert "not in the registry" in page

    def test_one_that_nobody_thought_of_holds_up_no_other(self, image, monkeypatch):
        made = push(image, "odd")
        real = sync.store.read_plain

        def fail(manifests, client):
            if any(one.digest == made.digest for one in manifests):
                raise RuntimeError("a defect")
            return real(manifests, client)

        monkeypatch.setattr(sync.store, "read_plain", fail)
        monkeypatch.setattr(sync.tree, "read_whole", lambda *_, **__: fail([made], None))
        hints.remember([Notice(image.repository, "odd")])
        hints.remember([Notice(ImageFactory(namespace=image.namespace).repository, "nothing")])
        assert exhaust(lambda: hints.sync_repository(image.repository)) == MOST_TRIES
        assert WorkFailure.objects.get().detail == "RuntimeError: a defect"

    def test_dismissed(self, client, image):
        failures.give_up(Kind.INDEX, image.repository, "odd", sentence="It cannot be read.")
        address = reverse("failure-dismiss", args=[image.repository, WorkFailure.objects.get().pk])
        page = client.post(address, follow=True).content.decode()
        assert "cannot be read" not in page
        assert "Dismissed the notice." in page

    @pytest.mark.parametrize("verb", ["retry", "dismiss"])
    def test_the_policy_is_asked(self, client, image, verb):
        failures.give_up(Kind.INDEX, image.repository, "odd", sentence="It cannot be read.")
        client.force_login(GrantFactory(namespace=image.namespace, role=Role.WRITER).account)
        answer = client.post(reverse(f"failure-{verb}", args=[image.repository, WorkFailure.objects.get().pk]))
        assert answer.status_code == 403
        assert "Only a Maintainer or an Owner can retry or dismiss failed work" in answer.content.decode()
        page = client.get(reverse("image-tags", args=[image.repository])).content.decode()
        assert "It cannot be read." in page and "Try again" not in page

    @pytest.mark.parametrize(("kind", "shown"), [(Kind.INDEX, True), (Kind.COPY, False), (Kind.LEFT, False)])
    def test_those_that_have_no_place_on_the_page_are_not_looked_for(self, rf, image, kind, shown):
        failures.give_up(kind, image.repository, "odd", sentence="It cannot be read.")
        request = rf.get("/")
        request.user = image.namespace.owner
        assert own_image(request, image.repository, under_way=True).has_failures == shown


class TestTheAdministratorsList:
    def test_it_has_all_of_them(self, client, image, monkeypatch):
        push(image, "v1")
        indexed(image)
        copies.ask(image, "v1", image.name, "v2")
        with failing(monkeypatch, "put_manifest", RegistryError("it says no", status=400)):
            copies.run()
        failures.give_up(Kind.INDEX, image.repository, "odd", sentence="It cannot be read.")
        failures.give_up(Kind.RELEASE, "freed", sentence="It stays held.")
        client.force_login(AccountFactory(is_staff=True, is_superuser=True))
        page = client.get("/admin/images/workfailure/").content.decode()
        for text in ("Copy a tag", "it says no", "It cannot be read.", "It stays held.", "Release a name"):
            assert text in page
        rows = list(WorkFailure.objects.values_list("pk", flat=True))
        client.post("/admin/images/workfailure/", {"action": "try_again", "_selected_action": rows})
        assert list(WorkFailure.objects.values_list("kind", flat=True)) == [Kind.COPY]

    def test_a_copy_that_cannot_be_indexed_ends_with_a_sentence(self, image, monkeypatch):
        push(image, "v1")
        indexed(image)
        copies.ask(image, "v1", image.name, "v2")
        with monkeypatch.context() as patched:
            patched.setattr(sync, "index_own", lambda *_: 1 / 0)
            copies.run()
        copy = Copy.objects.get()
        assert (copy.state, copy.problem) == (Copy.State.FAILED, failures.BROKEN)

    def test_a_reconcile_forgets_only_tags_that_were_given_up(self, image):
        push(image, "v1")
        indexed(image)
        digest = f"sha256:{'a' * 64}"
        failures.give_up(Kind.INDEX, image.repository, "v1", sentence="It cannot be read.")
        failures.give_up(Kind.INDEX, image.repository, digest, sentence="It cannot be read.")
        error = RegistryUnavailable("broken", status=500)
        failures.record_failure(Kind.INDEX, image.repository, "v2", sentence="It cannot be read.", error=error)
        reconcile.resume(reconcile.begin([image.repository]))
        assert set(WorkFailure.objects.values_list("reference", flat=True)) == {digest, "v2"}

    def test_a_copy_that_is_dismissed_leaves_it(self, client, image, monkeypatch):
        push(image, "v1")
        indexed(image)
        copies.ask(image, "v1", image.name, "v2")
        with failing(monkeypatch, "put_manifest", RuntimeError("a defect")):
            copies.run()
        copy = Copy.objects.get()
        assert (copy.state, copy.problem) == (Copy.State.FAILED, failures.BROKEN)
        response = client.post(reverse("copy-dismiss", args=[image.repository, copy.pk]), follow=True)
        assert "Dismissed the notice." in response.content.decode()
        assert not WorkFailure.objects.exists()
