"""Manifests that are not what they say, through everything that descends: each ends, and blocks nothing else."""

import pytest
from django.urls import reverse

from console.registry import jobs
from console.registry.connection import registry
from console.registry.deletion import names
from console.registry.index import hints, reconcile
from console.registry.index.hints import Notice
from console.repositories.models import Image, Manifest, Tag, WorkFailure
from console.repositories.services import mark_image_for_deletion
from registry_client import OCI_MANIFEST
from tests.images import copies
from tests.support import disk, tags
from tests.support.factories import ImageFactory
from tests.support.odd_manifests import BUILD_CACHE, ODD, Maker, entry, index, push_odd

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


@pytest.fixture
def image(team):
    return ImageFactory(namespace=team)


def told(image, *names):
    """What a notification of a push leads to."""
    hints.remember(Notice(image.repository, name) for name in names)
    hints.sync_repository(image.repository)
    image.refresh_from_db()


@pytest.mark.parametrize("name", ODD)
def test_it_is_shown_reconciled_copied_and_deleted(client, image, name):
    """The tag of another image, which is pushed after it, goes through the same."""
    odd = push_odd(registry(), image.repository, name)
    plain = tags.push(image, "plain")
    told(image, "odd", "plain")
    assert image.tag_count == 2
    row = Tag.objects.select_related("manifest").get(image=image, name="odd")
    assert row.manifest.digest == odd.digest and row.manifest.kind

    pages = [reverse("image-tags", args=[image.repository]), reverse("tag", args=[image.repository, "odd"])]
    for digest in image.manifests.values_list("digest", flat=True):
        pages += [reverse(page, args=[image.repository, digest]) for page in ("manifest", "manifest-raw")]
    assert [client.get(page).status_code for page in pages] == [200] * len(pages)
    assert "odd" in client.get(pages[0]).content.decode()

    walk = reconcile.resume(reconcile.begin([image.repository]))
    assert reconcile.found_in_order(walk), reconcile.summary(walk)

    for tag in ("odd", "plain"):
        copies.ask(image, tag, f"{image.name}-copy", tag)
    copies.run()
    target = copies.target(image, f"{image.name}-copy")
    assert not target.copies.exists()
    assert disk.tags(target.repository) == {"odd": odd.digest, "plain": plain.digest}
    # A blob that the registry serves as a manifest is a manifest in the copy.
    held = disk.blobs(target.repository) | disk.manifests(target.repository)
    assert held == disk.blobs(image.repository) | disk.manifests(image.repository)

    tags.delete(image, "odd")
    assert disk.tags(image.repository) == {"plain": plain.digest}
    assert disk.manifests(image.repository) == {plain.digest} == set(image.manifests.values_list("digest", flat=True))
    tags.pull(image, "plain")
    assert not WorkFailure.objects.exists()

    mark_image_for_deletion(target.namespace.owner, target)
    jobs.delete_image(target.pk)
    assert disk.left_of(target.repository) == []
    assert not Image.objects.filter(pk=target.pk).exists()


@pytest.mark.parametrize("name", ODD)
def test_it_is_deleted_with_an_image_that_was_never_indexed(image, name):
    push_odd(registry(), image.repository, name)
    mark_image_for_deletion(image.namespace.owner, image)
    jobs.delete_image(image.pk)
    assert disk.left_of(image.repository) == []
    assert not WorkFailure.objects.exists()


@pytest.mark.parametrize("name", ODD)
def test_it_is_cleared_from_a_freed_name(name):
    repository = f"freed/{ImageFactory().namespace.name}"
    push_odd(registry(), repository, name)
    assert names.clear_repository(repository) >= 1
    assert disk.left_of(repository) == []


class TestBuildCache:
    def test_it_has_its_kind_and_the_size_of_its_descriptors(self, client, image):
        maker = Maker(registry(), image.repository)
        document = index(
            entry(maker.blob(), size=5), entry(maker.blob(), size=7), entry(maker.blob(b"{}"), BUILD_CACHE, 2)
        )
        maker.put("cache", *document)
        told(image, "cache")
        manifest = Manifest.objects.get(image=image)
        assert (manifest.kind, manifest.artifact_type, manifest.size) == (Manifest.Kind.ARTIFACT, BUILD_CACHE, 14)
        assert (len(manifest.blobs), manifest.children, image.size) == (3, [], 14)
        for page in (reverse("image-tags", args=[image.repository]), reverse("tag", args=[image.repository, "cache"])):
            assert "Build cache" in client.get(page).content.decode()

    def test_layers_that_an_image_shares_with_it_stay(self, image):
        """They are in one repository when the cache is a tag beside the image."""
        pushed = tags.push(image, "v1")
        maker = Maker(registry(), image.repository)
        maker.put("cache", *index(*[entry(blob) for blob in pushed.blobs]))
        maker.put("lies", *index(*[entry(blob, OCI_MANIFEST) for blob in pushed.blobs]))
        told(image, "v1", "cache", "lies")
        tags.delete(image, "cache", "lies")
        assert tags.agrees(image) == {"v1"}

    def test_a_mixed_index_is_read_once(self, image):
        maker = Maker(registry(), image.repository)
        inside = maker.image()
        maker.put(
            "mixed", *index(entry(inside.digest, "application/vnd.oci.image.manifest.v1+json"), entry(maker.blob()))
        )
        told(image, "mixed")
        row = Manifest.objects.get(image=image, is_child=False)
        assert (row.size, row.own_size, row.child_digests) == (inside.size + 40, 40, [inside.digest])
        assert reconcile.found_in_order(reconcile.resume(reconcile.begin([image.repository])))


class TestTagsThatAreAboutEachOther:
    def test_a_tag_that_is_about_what_it_names(self, image):
        digest = tags.push(image, "v1").digest
        tags.delete(tags.indexed(image), "v1")
        pushed = tags.push(image, "v1", layers=[b"one"])
        tags.tag_again(image, pushed.digest.replace(":", "-"), pushed)
        tags.indexed(image)
        tags.delete(image, "v1")
        image.refresh_from_db()
        assert (image.tag_count, image.attachment_count) == (1, 0)
        assert digest != pushed.digest

    def test_two_tags_that_are_about_each_other(self, image):
        first, second = tags.push(image), tags.push(image)
        tags.tag_again(image, second.digest.replace(":", "-"), first)
        tags.tag_again(image, first.digest.replace(":", "-"), second)
        tags.indexed(image)
        assert image.tag_count == 1 and image.attachment_count == 1
