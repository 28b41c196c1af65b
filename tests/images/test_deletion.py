"""Deleting all tags of an image, against a real registry and checked on its disk."""

import itertools

import pytest

from console.audit.models import AuditEvent
from console.registry import jobs
from console.registry.connection import registry
from console.registry.deletion import images
from console.registry.index.sync import reread_image
from console.registry.tombstone import TOMBSTONE_DIGEST, point_at_tombstone
from console.repositories.models import DoomedManifest, Image, ImageDeletion, Manifest, Tag
from console.repositories.services import create_image, mark_image_for_deletion
from registry_client import (
    BlobUnknown,
    RegistryClient,
    RegistryUnavailable,
    Unauthorized,
    UnexpectedAnswer,
    Unsupported,
)
from tests.support import disk
from tests.support.factories import ImageFactory, NamespaceFactory
from tests.support.index_sync import reread_tag
from tests.support.pushed_images import present, push_image, push_index

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


@pytest.fixture
def image():
    return ImageFactory()


def indexed(image):
    reread_image(image.repository)
    image.refresh_from_db()
    return image


def run_deletion(image):
    mark_image_for_deletion(image.namespace.owner, image)
    jobs.delete_image(image.pk)
    assert disk.left_of(image.repository) == []


class TestAll:
    def test_it_works(self, image):
        pushed = [push_image(registry(), image.repository, f"v{number}") for number in range(5)]
        assert indexed(image).tag_count == 5
        run_deletion(image)
        assert registry().tags(image.repository) == []
        assert not any(present(registry(), image.repository, one.digest) for one in pushed)
        assert not Image.objects.exists()
        assert not Tag.objects.exists()
        assert not Manifest.objects.exists()
        assert [event.action for event in AuditEvent.objects.order_by("id") if event.action.startswith("image.")] == [
            "image.delete",
            "image.deleted",
        ]

    def test_the_name_can_be_created_and_pushed_again(self, image):
        repository, namespace, name = image.repository, image.namespace, image.name
        first = push_image(registry(), repository, "v1")
        run_deletion(indexed(image))
        again = create_image(namespace.owner, namespace, name)
        second = push_image(registry(), repository, "v1", layers=[b"other"])
        assert indexed(again).tags.get().manifest.digest == second.digest
        assert not present(registry(), repository, first.digest)

    def test_the_very_same_image_can_be_pushed_again(self, image):
        layers, config = [b"the same layer"], {"os": "linux", "architecture": "amd64"}
        repository = image.repository
        first = push_image(registry(), repository, "v1", layers=layers, config=config)
        run_deletion(indexed(image))
        second = push_image(registry(), repository, "v1", layers=layers, config=config)
        assert second.digest == first.digest
        assert b"".join(registry().blob(repository, second.blobs[1])) == layers[0]

    def test_nothing_was_ever_pushed(self, image):
        run_deletion(image)
        assert not Image.objects.exists()

    def test_tags_that_share_a_digest_and_indexes_with_children(self, image):
        children = [push_image(registry(), image.repository, None) for _ in range(3)]
        index = push_index(registry(), image.repository, "multi", children)
        push_index(registry(), image.repository, "multi-too", children)
        lone = push_image(registry(), image.repository, "one")
        registry().put_manifest(
            image.repository, "same", lone.content, "application/vnd.docker.distribution.manifest.v2+json"
        )
        indexed(image)
        run_deletion(image)
        for gone in (*children, index, lone):
            assert not present(registry(), image.repository, gone.digest)
        assert registry().tags(image.repository) == []

    def test_an_index_that_names_one_child_twice(self, image):
        child = push_image(registry(), image.repository, None)
        index = push_index(registry(), image.repository, "multi", [child, child])
        run_deletion(image)
        assert not present(registry(), image.repository, child.digest)
        assert not present(registry(), image.repository, index.digest)

    def test_a_tag_that_a_broken_off_deletion_of_tags_left_at_the_tombstone(self, image):
        push_image(registry(), image.repository, "v1")
        indexed(image)
        point_at_tombstone(image.repository, "v1")
        run_deletion(image)
        assert registry().tags(image.repository) == []
        assert not Image.objects.exists()

    def test_what_the_index_does_not_know_goes_too(self, image):
        """Tags pushed while notifications were lost, and the children of an index that was never read."""
        children = [push_image(registry(), image.repository, None) for _ in range(2)]
        push_index(registry(), image.repository, "unseen", children)
        run_deletion(image)
        assert registry().tags(image.repository) == []
        assert not any(present(registry(), image.repository, child.digest) for child in children)

    def test_a_tag_that_the_index_has_elsewhere(self, image):
        """Both go: what it pointed at when it was indexed, and what was pushed while notifications were lost."""
        push_image(registry(), image.repository, "v1")
        indexed(image)
        push_image(registry(), image.repository, "v1")
        run_deletion(image)
        assert not Image.objects.exists()

    def test_other_images_are_not_touched(self, image):
        """Even one that shares blobs and the whole manifest in another repository."""
        other = ImageFactory()
        layers, config = [b"shared layer"], {"os": "linux", "architecture": "amd64"}
        push_image(registry(), image.repository, "v1", layers=layers, config=config)
        kept = push_image(registry(), other.repository, "v1", layers=layers, config=config)
        indexed(image)
        run_deletion(image)
        assert registry().resolve(other.repository, "v1").digest == kept.digest
        for blob in kept.blobs:
            assert b"".join(registry().blob(other.repository, blob))

    def test_the_blobs_can_no_longer_be_read_under_the_name(self, image):
        pushed = push_image(registry(), image.repository, "v1")
        run_deletion(indexed(image))
        for blob in pushed.blobs:
            with pytest.raises(BlobUnknown):
                registry().stat_blob(image.repository, blob)

    def test_a_tag_pushed_meanwhile_goes_too(self, image, monkeypatch):
        push_image(registry(), image.repository, "v1")
        indexed(image)
        real = images._remove_manifests
        pushed = []

        def push_late(*arguments):
            real(*arguments)
            if len(pushed) < 2:
                pushed.append(push_image(registry(), image.repository, f"late{len(pushed)}"))

        monkeypatch.setattr(images, "_remove_manifests", push_late)
        run_deletion(image)
        assert len(pushed) == 2
        assert registry().tags(image.repository) == []
        assert not Image.objects.exists()

    def test_a_tag_moved_after_it_was_listed_takes_both_along(self, image, monkeypatch):
        push_image(registry(), image.repository, "v1")
        indexed(image)
        real = images._list

        def move(*arguments):
            real(*arguments)
            push_index(registry(), image.repository, "v1", [push_image(registry(), image.repository, None)])

        monkeypatch.setattr(images, "_list", move)
        run_deletion(image)
        assert not Image.objects.exists()

    def test_asking_twice_is_asking_once(self, image):
        first = mark_image_for_deletion(image.namespace.owner, image)
        assert mark_image_for_deletion(image.namespace.owner, image) == first
        jobs.delete_image(image.pk)
        jobs.delete_image(image.pk)
        assert not Image.objects.exists()

    def test_a_deletion_of_a_new_image_with_the_old_jobs_number_does_nothing(self, image):
        jobs.delete_image(image.pk)
        assert Image.objects.filter(pk=image.pk).exists()


def failing_calls():
    """The calls of a deletion of three tags, one of them an index: each may fail, before or after it had its effect."""
    return [
        ("tags", 1), ("resolve", 1), ("resolve", 2), ("put_manifest", 1), ("put_manifest", 2), ("put_manifest", 3),
        ("delete_manifest", 1), ("delete_manifest", 2), ("delete_manifest", 3), ("delete_blob", 1), ("delete_blob", 3),
        ("content_of", 1), ("content_of", 2), ("tags", 2),
    ]  # fmt: skip


@pytest.mark.parametrize(("method", "turn"), failing_calls())
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_failure_at_any_call_is_shown_and_then_finished(image, monkeypatch, method, turn, after):
    children = [push_image(registry(), image.repository, None)]
    index = push_index(registry(), image.repository, "multi", children)
    pushed = [push_image(registry(), image.repository, f"v{number}") for number in range(2)]
    reread_tag(image.repository, "v0")
    real = getattr(RegistryClient, method)
    numbers = itertools.count(1)

    def fail(self, *arguments, **options):
        number = next(numbers)  # several threads call at once
        if number == turn and not after:
            raise RegistryUnavailable("down")
        result = real(self, *arguments, **options)
        if number == turn:
            raise RegistryUnavailable("down")
        return result

    mark_image_for_deletion(image.namespace.owner, image)
    with monkeypatch.context() as patched:
        patched.setattr(RegistryClient, method, fail)
        with pytest.raises(RegistryUnavailable):
            jobs.delete_image(image.pk)
    assert "Can’t reach the registry." in ImageDeletion.objects.get().problem
    # Whatever a tag points at now, what it pointed at is written down.
    for tag in registry().tags(image.repository):
        now = registry().resolve(image.repository, tag).digest
        assert now != TOMBSTONE_DIGEST or DoomedManifest.objects.filter(tag=tag).exclude(digest=now).exists()
    jobs.delete_image(image.pk)
    assert not Image.objects.exists()
    assert registry().tags(image.repository) == []
    for gone in (index, *children, *pushed):
        assert not present(registry(), image.repository, gone.digest)


_CALLS = ("put_manifest", "delete_manifest")


@pytest.mark.parametrize(
    ("error", "method", "sentence"),
    [
        *((RegistryUnavailable, method, "Can’t reach the registry. Retrying automatically.") for method in _CALLS),
        *((Unauthorized, method, "refused a step") for method in _CALLS),
        *((UnexpectedAnswer, method, "refused a step") for method in _CALLS),
        # One that only reads will write again; one whose deletions are switched off will not delete by itself.
        (Unsupported, "put_manifest", "is read-only, for example because its disk is full."),
        (Unsupported, "delete_manifest", "they are switched off. Ask an administrator to switch them on."),
    ],
)
def test_the_row_says_what_failed(image, monkeypatch, error, method, sentence):
    push_image(registry(), image.repository, "v1")
    mark_image_for_deletion(image.namespace.owner, image)

    def fail(*_arguments, **_options):
        raise error("no")

    with monkeypatch.context() as patched, pytest.raises(error):
        patched.setattr(RegistryClient, method, fail)
        jobs.delete_image(image.pk)
    problem = ImageDeletion.objects.get().problem
    assert sentence in problem and problem.endswith("Retrying automatically.") == ("switched off" not in problem)
    jobs.delete_image(image.pk)
    assert disk.left_of(image.repository) == []


class TestLeftByARegistryThatDied:
    """It deletes a digest first, and then the tags that point at it, one after another."""

    def test_at_the_tombstone(self, image):
        pushed = [push_image(registry(), image.repository, f"v{number}") for number in range(3)]
        indexed(image)
        mark_image_for_deletion(image.namespace.owner, image)
        for number in range(3):
            point_at_tombstone(image.repository, f"v{number}")
        forget(image, TOMBSTONE_DIGEST)
        jobs.delete_image(image.pk)
        assert disk.left_of(image.repository) == []
        assert not any(present(registry(), image.repository, one.digest) for one in pushed)

    def test_in_the_middle_of_the_job(self, image, monkeypatch):
        for number in range(4):
            push_image(registry(), image.repository, f"v{number}")
        mark_image_for_deletion(image.namespace.owner, image)
        real = RegistryClient.delete_manifest

        def die(*arguments, **options):
            forget(image, TOMBSTONE_DIGEST)
            raise RegistryUnavailable("killed")

        with monkeypatch.context() as patched, pytest.raises(RegistryUnavailable):
            patched.setattr(RegistryClient, "delete_manifest", die)
            jobs.delete_image(image.pk)
        assert RegistryClient.delete_manifest is real
        assert len(disk.tags(image.repository)) == 4, "they point at nothing"
        jobs.delete_image(image.pk)
        assert disk.left_of(image.repository) == []
        assert not Image.objects.exists()

    def test_at_a_digest_that_somebody_deleted(self, image):
        pushed = push_image(registry(), image.repository, "v1")
        indexed(image)
        forget(image, pushed.digest)
        run_deletion(image)
        assert disk.tags(image.repository) == {}
        assert not Image.objects.exists()


def forget(image, digest):
    """Take the link to a manifest away, as a registry does before it comes to the tags."""
    folder = disk.ROOT / "repositories" / image.repository / "_manifests" / "revisions"
    (folder / digest.replace(":", "/") / "link").unlink()


def test_an_image_of_one_name_in_another_namespace_is_another_image():
    first = ImageFactory(name="app")
    second = ImageFactory(name="app", namespace=NamespaceFactory())
    for image in (first, second):
        push_image(registry(), image.repository, "v1")
        indexed(image)
    run_deletion(first)
    assert registry().tags(second.repository) == ["v1"]
    assert Image.objects.get() == second
