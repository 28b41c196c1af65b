"""Asking for copies and doing them: what the tests of copying share."""

from console.registry import jobs
from console.registry.connection import registry
from console.registry.copy_requests import copy_tag
from console.registry.index.sync import reread_image
from console.repositories.models import Copy, Image, Tag
from tests.support.pushed_images import push_image


def push(image, reference, **options):
    return push_image(registry(), image.repository, reference, **options)


def indexed(image):
    reread_image(image.repository)
    image.refresh_from_db()
    return image


def tag_of(image, name):
    return Tag.objects.select_related("manifest", "image__namespace__owner").get(image=image, name=name)


def ask(image, tag, name, new, **options):
    namespace = options.pop("namespace", image.namespace)
    return copy_tag(image.namespace.owner, tag_of(image, tag), namespace, name, new, **options)


def run():
    for copy in Copy.objects.filter(state=Copy.State.RUNNING).order_by("id"):
        jobs.copy(copy.pk)


def target(source, name="target"):
    return Image.objects.get(namespace=source.namespace, name=name)


def pull(image, reference):
    """Everything that a client would fetch; the digest."""
    manifest = registry().manifest(image.repository, reference)
    if manifest.is_index:
        for child in manifest.children:
            pull(image, child.digest)
    else:
        for blob in manifest.references:
            assert b"".join(registry().blob(image.repository, blob))
    return manifest.digest
