"""Cancel a deletion that cannot be finished: the image can be used and pushed to again."""

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

# By its name, which jobs queued by earlier versions have too.
_REREAD = "indexing.reread_image"
# By its name: the jobs cancel deletions, not the other way round.
_DELETE_TAGS = "images.delete_tags"


def cancel_deletion(image: Image, sentence: str) -> None:
    """Make an image active again whose deletion cannot be finished.

    What the deletion had found and not removed is remembered, for the next one; the index catches up with what it did
    remove. Tags that were marked for a deletion of their own get a job again: theirs ended when it found that the image
    was being deleted.
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
    """Make tags active again that cannot be deleted; each says why. Where all are gone, no failure is left to show."""
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
