"""The long work on images: deleting one with all its tags, deleting some tags."""

from __future__ import annotations

import logging

from django.db import transaction
from procrastinate.contrib.django import app

from console.images import deletion
from console.images.models import Image, ImageDeletion, Manifest, Tag
from console.images.totals import refresh_totals
from console.queue import WORK_QUEUE, KeepTrying
from console.registry import registry
from registry_client import ManifestUnknown, NameUnknown, RegistryError, RegistryUnavailable, Unsupported

log = logging.getLogger(__name__)

# Up to so many tags, each is asked for anew before a digest is deleted: a fifth of a second at most.
_CHEAP_TO_ASK = 200


def problem_sentence(error: Exception) -> str:
    """What the row says while a failed step waits to be tried again."""
    if isinstance(error, RegistryUnavailable):
        return "The registry does not answer. The deletion goes on by itself when it does."
    if isinstance(error, Unsupported):
        return "The registry does not allow deletions. Ask an administrator to enable them; it then goes on by itself."
    if isinstance(error, deletion.StillBusy):
        return "Tags are still being pushed to this image. The deletion goes on when that ends."
    return "The registry refused a step of the deletion. It is tried again by itself."


@app.task(name="images.delete_image", queue=WORK_QUEUE, retry=KeepTrying())
def delete_image(image_id: int) -> None:
    """Delete an image with all its tags; begins or goes on, whatever was done before."""
    image = (
        Image.objects.select_related("namespace", "deletion")
        .filter(pk=image_id, state=Image.State.DELETING, deletion__isnull=False)
        .first()
    )
    if image is None:
        return
    repository = image.repository
    try:
        deletion.delete_everything(image)
    except (RegistryError, deletion.StillBusy) as error:
        log.warning("deletion of %s waits: %s", repository, error)
        ImageDeletion.objects.filter(image_id=image_id).update(problem=problem_sentence(error))
        raise
    log.info("image %s deleted with all its tags", repository)


@app.task(name="images.delete_tags", queue=WORK_QUEUE, retry=KeepTrying())
def delete_tags(image_id: int, names: list[str]) -> None:
    """Delete some tags. Other tags of the same digests stay, and so does a tag that was pushed anew meanwhile."""
    image = Image.objects.select_related("namespace").filter(pk=image_id, state=Image.State.ACTIVE).first()
    if image is None:
        return
    tags = Tag.objects.filter(image=image, name__in=names, state=Tag.State.DELETING).select_related("manifest")
    try:
        _delete_tags(image, list(tags))
    except RegistryError as error:
        log.warning("deletion of tags of %s waits: %s", image.repository, error)
        tags.update(problem=problem_sentence(error))
        raise


def _delete_tags(image: Image, tags: list[Tag]) -> None:
    gone: list[Tag] = []
    for tag in tags:
        try:
            present = registry().resolve(image.repository, tag.name).digest
        except (ManifestUnknown, NameUnknown):
            gone.append(tag)
            continue
        if present == tag.manifest.digest:
            # The row keeps the digest: after a failure between here and the end, it says what the tag pointed at.
            deletion.bury_tag(image.repository, tag.name)
            gone.append(tag)
        elif deletion.is_tombstone(present):
            gone.append(tag)
        else:
            # Somebody pushed the tag anew after the deletion was asked for: what they pushed stays.
            tag.state = Tag.State.ACTIVE
            tag.save(update_fields=["state"])
    if gone:
        deletion.remove_tombstone(image.repository)
    unneeded = _unneeded(image, gone)
    for digest in unneeded:
        registry().delete_manifest(image.repository, digest, missing_ok=True)
    with transaction.atomic():
        Tag.objects.filter(pk__in=[tag.pk for tag in gone], state=Tag.State.DELETING).delete()
        Manifest.objects.filter(image=image, digest__in=unneeded, tags=None).delete()
        refresh_totals(image.pk)


def _unneeded(image: Image, gone: list[Tag]) -> list[str]:
    """Digests that nothing names once the tags in ``gone`` are away: theirs and their children's.

    Deleting a digest takes every tag along that points at it, so what is kept is decided by the registry's present
    answers as far as asking is cheap, and by the index beyond.
    """
    names = {tag.name for tag in gone}
    manifests = {manifest.digest: manifest for manifest in Manifest.objects.filter(image=image)}
    candidates = {tag.manifest.digest for tag in gone}
    for digest in list(candidates):
        candidates.update(manifests[digest].children if digest in manifests else [])
    kept = set(Tag.objects.filter(image=image).exclude(name__in=names).values_list("manifest__digest", flat=True))
    others = [name for name in deletion.tags_of(image.repository) if name not in names]
    if len(others) <= _CHEAP_TO_ASK:
        for name in others:
            try:
                kept.add(registry().resolve(image.repository, name).digest)
            except ManifestUnknown:
                continue
    for digest, manifest in manifests.items():
        if digest not in candidates or digest in kept:
            kept.update(manifest.children)
    return sorted(candidates - kept)
