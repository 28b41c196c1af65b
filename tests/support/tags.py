"""Push tags and delete them, for tests of tag deletions."""

from console.registry import jobs
from console.registry.connection import registry
from console.registry.index.sync import reread_image
from console.repositories.models import Tag
from console.repositories.services import mark_tags_for_deletion
from tests.support import disk
from tests.support.pushed_images import DOCKER_MANIFEST, push_image, push_index


def indexed(image):
    reread_image(image.repository)
    image.refresh_from_db()
    return image


def push(image, reference=None, **options):
    return push_image(registry(), image.repository, reference, **options)


def push_list(image, tag, children):
    return push_index(registry(), image.repository, tag, children)


def tag_again(image, tag, pushed, media_type=DOCKER_MANIFEST):
    registry().put_manifest(image.repository, tag, pushed.content, media_type)


def ask(image, *names):
    return mark_tags_for_deletion(image.namespace.owner, image, names)


def run(image):
    jobs.delete_tags(image.pk, [])


def delete(image, *names):
    ask(image, *names)
    run(image)


def pull(image, reference):
    """Pull an image like a client."""
    manifest = registry().manifest(image.repository, reference)
    if manifest.is_index:
        for child in manifest.children:
            pull(image, child.digest)
    else:
        for blob in manifest.references:
            assert b"".join(registry().blob(image.repository, blob))
    return manifest.digest


def agrees(image):
    """Check that index and disk are equal, and the totals are correct."""
    image.refresh_from_db()
    rows = dict(image.tags.values_list("name", "manifest__digest"))
    assert rows == disk.tags(image.repository)
    assert set(image.manifests.values_list("digest", flat=True)) == disk.manifests(image.repository)
    assert not image.tags.exclude(state=Tag.State.ACTIVE).exists()
    assert not image.manifests.filter(doomed=True).exists()
    assert image.tag_count + image.attachment_count == len(rows)
    for name in rows:
        pull(image, name)
    return set(rows)
