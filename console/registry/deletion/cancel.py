"""Cancel a deletion that keeps failing: the image or its tags can be used again."""

from __future__ import annotations

import logging

from django.db import transaction
from django.utils import timezone
from procrastinate.contrib.django import app

from console.audit.origin import SYSTEM
from console.audit.services import record
from console.jobs.queue import repository_lock
from console.repositories import failures, pushed_digests
from console.repositories.failures import Kind
from console.repositories.locks import image_locked
from console.repositories.models import Image, ImageDeletion, Tag

log = logging.getLogger(__name__)

# By its name, as jobs queued by earlier versions.
_REREAD = "indexing.reread_image"
# By its name: the jobs import this module.
_DELETE_TAGS = "images.delete_tags"


def cancel_image_deletion(image: Image, sentence: str) -> None:
    """Make an image active again whose deletion keeps failing.

    Manifests that it has listed and not removed are stored for the next deletion, and the image is synced with what it
    has removed. Tags that were marked for deletion before get a job again: theirs ended because the image was being
    deleted.

    :param sentence: the problem, for the audit log.
    """
    repository = image.repository
    with transaction.atomic():
        locked = Image.objects.select_for_update(of=("self",)).filter(pk=image.pk, state=Image.State.DELETING).first()
        deletion = ImageDeletion.objects.filter(image=image).first()
        if locked is None or deletion is None:
            return
        left = deletion.doomed.filter(removed=False).values_list("digest", flat=True).distinct()
        pushed_digests.remember((repository, digest) for digest in left)
        deletion.delete()
        locked.state, locked.changed_at = Image.State.ACTIVE, timezone.now()
        locked.save(update_fields=["state", "changed_at"])
        record("image.delete-failed", repository, actor=SYSTEM, problem=sentence)
        _reread(repository)
        if Tag.objects.filter(image=image, state=Tag.State.DELETING).exists():
            app.configure_task(_DELETE_TAGS, lock=repository_lock(repository)).defer(image_id=image.pk)


def cancel_tag_deletion(image: Image, sentence: str) -> None:
    """Make tags active again whose deletion keeps failing; if all tags are gone, forget the failure.

    :param sentence: the problem, which the page shows for each tag.
    """
    with image_locked(image.pk):
        marked = Tag.objects.filter(image=image, state=Tag.State.DELETING)
        names = list(marked.order_by("name").values_list("name", flat=True))
        marked.update(state=Tag.State.ACTIVE, problem=sentence[:300])
        Image.objects.filter(pk=image.pk).update(changed_at=timezone.now())
        if names:
            record("tag.delete-failed", image.repository, actor=SYSTEM, tags=names[:100], problem=sentence)
        else:
            log.warning("tags of %s are deleted, but not all of their manifests: %s", image.repository, sentence)
            failures.forget(Kind.DELETE_TAGS, image.repository)
        _reread(image.repository)


def _reread(repository: str) -> None:
    app.configure_task(_REREAD, lock=repository_lock(repository)).defer(repository=repository)
