"""Clearing in pieces: what is broken off is found again, and what was there before stays with its blobs."""

import datetime
from contextlib import suppress

import pytest
from django.utils import timezone

from console.registry.connection import registry
from console.registry.deletion import names, removal
from console.registry.index.models import Hint
from console.repositories import pushed_digests
from console.repositories.models import KeptManifest, Manifest, PushedDigest
from registry_client import RegistryClient, RegistryUnavailable
from tests.support import disk, tags
from tests.support.factories import ImageFactory, NamespaceFactory
from tests.support.pushed_images import push_image, push_index

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


@pytest.fixture
def image():
    return ImageFactory()


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(removal, "MOST_DIGESTS", 1)
    monkeypatch.setattr(names, "_READ_AT_ONCE", 1)
    monkeypatch.setattr(names, "_ADDED_AT_ONCE", 1)
    monkeypatch.setattr(names, "_TAGS_AT_ONCE", 1)


def since():
    return timezone.now() - datetime.timedelta(minutes=5)


def told_before(image, *pushes):
    pushed_digests.remember((image.repository, one.digest) for one in pushes)
    PushedDigest.objects.update(notified_at=since() - datetime.timedelta(hours=1))


def dying_after(monkeypatch, calls):
    """Let the process die after so many calls that change the registry."""
    left = [calls]

    def until_then(real):
        def call(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                raise RegistryUnavailable("killed")
            return real(*arguments, **options)

        return call

    for name in ("delete_manifest", "delete_blob", "put_manifest"):
        monkeypatch.setattr(RegistryClient, name, until_then(getattr(RegistryClient, name)))


@pytest.mark.usefixtures("small_pieces")
def test_what_tags_and_indexes_name_goes_in_pieces():
    repository = f"{NamespaceFactory().name}/app"
    children = [push_image(registry(), repository, None) for _ in range(3)]
    for tag in ("a", "b"):
        push_index(registry(), repository, tag, [*children, push_image(registry(), repository, None)])
    push_image(registry(), repository, "c")
    assert names.clear_repository(repository) == 8
    assert disk.left_of(repository) == []
    assert not PushedDigest.objects.exists()
    assert names.clear_repository(repository) == 0


def test_the_same_manifest_pushed_while_it_is_removed_goes_too(monkeypatch):
    """Its notification arrives between the reading of the list and the mark."""
    repository = f"{NamespaceFactory().name}/app"
    pushes = [push_image(registry(), repository, "v1", layers=[b"layer"], config={"n": 1})]
    real = removal.Removal.remove

    def push_again(self, *arguments):
        real(self, *arguments)
        if len(pushes) == 1:
            pushes.append(push_image(registry(), repository, None, layers=[b"layer"], config={"n": 1}))
            pushed_digests.remember([(repository, pushes[1].digest)])

    monkeypatch.setattr(removal.Removal, "remove", push_again)
    names.clear_repository(repository)
    assert pushes[0].digest == pushes[1].digest
    assert disk.left_of(repository) == []
    assert not PushedDigest.objects.exists()


@pytest.mark.parametrize("calls", range(0, 24, 2))
def test_a_push_is_taken_back_whenever_it_is_broken_off(image, monkeypatch, calls):
    """Also what nothing but a tag or an index named, of which no notification told."""
    kept, moved = tags.push(image, "kept"), tags.push(image, "moved")
    tags.indexed(image)
    tags.push(image, "moved")
    push_index(registry(), image.repository, "new", [push_image(registry(), image.repository, None) for _ in range(2)])
    began = since()
    with monkeypatch.context() as patched:
        dying_after(patched, calls)
        with suppress(RegistryUnavailable):
            names.undo_pushes(image, began)
    names.undo_pushes(image, began)
    assert disk.tags(image.repository) == {"kept": kept.digest, "moved": moved.digest}
    assert disk.manifests(image.repository) == {kept.digest, moved.digest}
    assert disk.blobs(image.repository) == {*kept.blobs, *moved.blobs}
    assert not PushedDigest.objects.exists() and not KeptManifest.objects.exists()


@pytest.mark.usefixtures("small_pieces")
class TestWhatStays:
    """Whatever a later push names: here the same blobs, below an index."""

    def taken_back(self, image, *stay):
        layers = [b"shared", b"planted"]
        planted = push_image(registry(), image.repository, None, layers=layers, config={"n": "shared"})
        push_index(registry(), image.repository, "planted", [planted, *stay])
        names.undo_pushes(image, since())
        assert "planted" not in disk.tags(image.repository)
        manifests = {one.digest for one in stay}
        assert disk.manifests(image.repository) == manifests
        assert disk.blobs(image.repository) == {blob for one in stay for blob in one.blobs}

    def push(self, image, tag=None):
        return push_image(registry(), image.repository, tag, layers=[b"shared"], config={"n": "shared"})

    def test_what_the_index_has(self, image):
        kept = self.push(image, "kept")
        tags.indexed(image)
        self.taken_back(image, kept)

    def test_what_the_index_has_and_does_not_understand(self, image):
        kept = self.push(image, "kept")
        tags.indexed(image)
        Manifest.objects.filter(image=image).update(kind=Manifest.Kind.OTHER, blobs=[])
        self.taken_back(image, kept)

    def test_what_was_pushed_by_its_digest_before(self, image):
        kept = self.push(image)
        told_before(image, kept)
        self.taken_back(image, kept)

    def test_what_is_below_an_index_that_waits(self, image):
        kept = self.push(image)
        index = push_index(registry(), image.repository, "waits", [kept])
        Hint.objects.create(
            repository=image.repository,
            tag="waits",
            digest=index.digest,
            pushed_at=since() - datetime.timedelta(hours=1),
        )
        self.taken_back(image, kept, index)
