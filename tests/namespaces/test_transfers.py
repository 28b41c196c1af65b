"""What a former owner's token pushes while a namespace changes hands is taken back, as under a freed name."""

import datetime

import pytest
from django.utils import timezone

from console.namespaces.models import Namespace, NamespaceHold
from console.ownership.services import (
    create_namespace,
    delete_namespace,
    finish_transfers,
    release_names,
    transfer_namespace,
)
from console.registry.connection import registry
from console.registry.index import hints, reconcile
from console.registry.index.hints import Notice
from console.repositories import failures, pushed_digests
from console.repositories.models import Image, WorkFailure
from registry_client import RegistryClient, RegistryError, RegistryUnavailable
from tests.support import disk, tags
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.pushed_artifacts import push_artifact
from tests.support.pushed_images import push_image, push_index

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


@pytest.fixture
def image():
    return ImageFactory()


def transfer(image):
    new = ActivatedAccountFactory()
    transfer_namespace(image.namespace, new)
    image.namespace.refresh_from_db()
    return new


def told(repository, reference, moment=None):
    """What the registry tells of a push leads to."""
    digest = reference if ":" in reference else registry().resolve(repository, reference).digest
    pushed_digests.remember([(repository, digest)])
    hints.remember([Notice(repository, reference, moment or timezone.now(), "former", digest)])
    hints.sync_repository(repository)


def finish():
    began = datetime.timedelta(hours=1)
    Namespace.objects.filter(available_at__isnull=False).update(available_at=timezone.now() - began + began)
    return finish_transfers()


class TestTakenBack:
    def test_new_tags_moved_tags_new_images_and_digests(self, image):
        kept, moved = tags.push(image, "kept"), tags.push(image, "moved")
        tags.indexed(image)
        new = transfer(image)
        name = image.namespace.name
        tags.push(image, "new")
        tags.push(image, "moved")
        children = [tags.push(image), tags.push(image)]
        push_index(registry(), image.repository, "multi", children)
        alone, about = tags.push(image), push_artifact(registry(), image.repository, None, kept)
        push_image(registry(), f"{name}/planted", "v1")
        for one in ("new", "moved", "multi", alone.digest, about.digest):
            told(image.repository, one)
        told(f"{name}/planted", "v1")
        reconcile.resume(reconcile.begin([image.repository, f"{name}/planted"]))
        assert set(image.tags.values_list("name", flat=True)) == {"kept", "moved"}
        assert finish() == 1
        assert Namespace.objects.get(name=name).owner == new
        assert disk.tags(image.repository) == {"kept": kept.digest, "moved": moved.digest}
        assert disk.manifests(image.repository) == {kept.digest, moved.digest}
        assert disk.blobs(image.repository) == {*kept.blobs, *moved.blobs}
        assert disk.left_of(f"{name}/planted") == []
        assert not Image.objects.filter(full_name=f"{name}/planted").exists()
        reconcile.resume(reconcile.begin([image.repository]))
        image.refresh_from_db()
        assert tags.agrees(image) == {"kept", "moved"}

    def test_what_was_pushed_before_and_told_of_later_stays(self, image):
        tags.push(image, "v1")
        tags.indexed(image)
        late = tags.push(image, "late")
        before = timezone.now()
        transfer(image)
        Namespace.objects.update(available_at=timezone.now() + datetime.timedelta(hours=1))
        told(image.repository, "late", before)
        assert finish() == 1
        assert disk.tags(image.repository)["late"] == late.digest

    def test_what_was_pushed_before_and_is_not_indexed_yet_stays(self, image):
        tags.push(image, "v1")
        tags.push(image, "moved")
        tags.indexed(image)
        late, moved, odd = (tags.push(image, tag) for tag in ("late", "moved", "odd"))
        alone = push_artifact(registry(), image.repository, None, late)
        other = f"{image.namespace.name}/other"
        push_image(registry(), other, "v1")
        before = timezone.now() - datetime.timedelta(days=1)
        transfer(image)
        tags.push(image, "planted")
        for one in (("late", late), ("moved", moved), (alone.digest, alone)):
            hints.remember([Notice(image.repository, one[0], before, "ann", one[1].digest)])
            pushed_digests.remember([(image.repository, one[1].digest)])
        failures.give_up("index", image.repository, "odd", sentence="It cannot be read.")
        assert finish() == 1
        assert set(disk.tags(image.repository)) == {"v1", "moved", "late", "odd"}
        assert {late.digest, moved.digest, odd.digest, alone.digest} <= disk.manifests(image.repository)
        assert {*late.blobs, *moved.blobs, *odd.blobs} <= disk.blobs(image.repository)
        assert set(disk.tags(other)) == {"v1"}
        hints.sync_repository(image.repository)
        assert image.tags.filter(manifest__digest__in=[late.digest, moved.digest]).count() == 2

    def test_another_push_under_a_tag_that_is_not_indexed_yet_is_removed(self, image):
        tags.push(image, "v1")
        tags.indexed(image)
        late = tags.push(image, "late")
        before = timezone.now() - datetime.timedelta(days=1)
        hints.remember([Notice(image.repository, "late", before, "ann", late.digest)])
        transfer(image)
        tags.push(image, "late")
        assert finish() == 1
        assert set(disk.tags(image.repository)) == {"v1"}

    def test_a_tag_that_cannot_be_pointed_back_is_removed(self, image):
        old = tags.push(image, "v1")
        tags.indexed(image)
        transfer(image)
        registry().delete_manifest(image.repository, old.digest)
        registry().delete_blob(image.repository, old.blobs[0])
        tags.push(image, "v1")
        told(image.repository, "v1")
        assert finish() == 1
        assert disk.left_of(image.repository) == [
            link for link in disk.left_of(image.repository) if old.blobs[1][7:] in link
        ]

    def test_a_deletion_by_an_old_token_is_found_afterwards(self, image):
        pushed_image = tags.push(image, "v1")
        tags.indexed(image)
        transfer(image)
        registry().delete_manifest(image.repository, pushed_image.digest)
        hints.remember([Notice(image.repository, "v1"), Notice(image.repository, pushed_image.digest)])
        hints.sync_repository(image.repository)
        assert image.tags.exists()
        assert finish() == 1
        reconcile.resume(reconcile.begin([image.repository]), share=100)
        assert not image.tags.exists()


class TestFailures:
    def test_a_registry_that_is_down_keeps_the_namespace_waiting(self, image, settings):
        transfer(image)
        settings.CONSOLE_REGISTRY_URL = "http://127.0.0.1:9"
        with pytest.raises(RegistryUnavailable):
            finish()
        assert Namespace.objects.get(pk=image.namespace_id).in_transfer
        assert not WorkFailure.objects.exists()

    @pytest.fixture
    def refused(self, monkeypatch):
        """The registry refuses to delete anything in one namespace; gives what says which."""
        names, real = set(), RegistryClient.delete_manifest

        def delete(self, repository, *arguments, **options):
            if repository.partition("/")[0] in names:
                raise RegistryError("it says no", status=409)
            return real(self, repository, *arguments, **options)

        monkeypatch.setattr(RegistryClient, "delete_manifest", delete)
        return names

    def test_one_freed_name_keeps_no_other_waiting_and_is_given_up(self, refused):
        for name in ("cannot", "can"):
            namespace = NamespaceFactory(name=name)
            push_image(registry(), f"{name}/app", "v1")
            delete_namespace(namespace.owner, namespace)
        NamespaceHold.objects.update(until=timezone.now() - datetime.timedelta(hours=1))
        refused.add("cannot")
        assert release_names() == 1
        assert list(NamespaceHold.objects.values_list("name", flat=True)) == ["cannot"]
        for _ in range(20):
            assert release_names() == 0
        failure = WorkFailure.objects.get()
        assert (failure.kind, failure.repository, failure.tries) == ("release", "cannot", 8)
        assert failure.given_up_at and "stays held" in failure.sentence
        refused.clear()
        assert release_names() == 0
        failure.delete()  # as "Try again" in the administration does
        assert release_names() == 1
        assert disk.left_of("cannot/app") == []

    def test_a_release_that_was_given_up_does_not_block_the_next(self, refused):
        namespace = NamespaceFactory(name="again")
        owner = namespace.owner
        failures.give_up("release", "again", sentence="It stays held.")
        delete_namespace(owner, namespace)
        NamespaceHold.objects.update(until=timezone.now() - datetime.timedelta(hours=1))
        assert release_names() == 1
        failures.give_up("transfer", "again", sentence="It is not given away.")
        create_namespace(owner, "again")
        assert not WorkFailure.objects.exists()

    def test_a_transfer_that_was_given_up_does_not_block_the_next(self, image):
        failures.give_up("transfer", image.namespace.name, sentence="It is not given away.")
        transfer(image)
        assert finish() == 1
        assert not WorkFailure.objects.exists()

    def test_one_transfer_keeps_no_other_waiting(self, image, refused):
        other = ImageFactory()
        for one in (image, other):
            transfer(one)
            tags.push(one, "planted")
        refused.add(image.namespace.name)
        assert finish() == 1
        assert Namespace.objects.get(pk=image.namespace_id).in_transfer
        assert WorkFailure.objects.get().kind == "transfer"
        refused.clear()
        assert finish() == 1
        assert not WorkFailure.objects.exists()
