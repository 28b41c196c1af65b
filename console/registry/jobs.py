"""Background jobs on images: delete an image, delete tags, copy a tag, forget old documents."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.tasks import Task

from console.jobs.queue import WORK_QUEUE, KeepTrying, repository_lock
from console.registry import copying
from console.registry.connection import at_once
from console.registry.contents import digest_of
from console.registry.deletion import cancel, images, tags
from console.registry.deletion.problems import final_sentence, is_unforeseen, patience, problem_sentence
from console.registry.deletion.steps import TurnOver
from console.registry.tombstone import remove_tombstone
from console.repositories import failures, pushed_digests
from console.repositories.failures import Kind
from console.repositories.fairness import priority_of
from console.repositories.locks import image_locked
from console.repositories.models import DailyActivity, Document, Image, ImageDeletion, Manifest, Tag
from registry_client import RegistryError

log = logging.getLogger(__name__)

_ACTIVITY_DAYS = 400
_PUSHES_AT_ONCE = 2000
# A longer job ends after so many seconds and queues itself again, behind other accounts' jobs.
_TURN_SECONDS = 20


def _turn() -> Callable[[], bool]:
    """Begin a turn (time slice); the function says whether it is over."""
    end = time.monotonic() + _TURN_SECONDS
    return lambda: time.monotonic() > end


@app.task(name="images.delete_image", queue=WORK_QUEUE, retry=KeepTrying())
def delete_image(image_id: int) -> None:
    """Delete an image with all its tags; idempotent, and resumes what an earlier run began."""
    image = (
        Image.objects.select_related("namespace", "deletion")
        .filter(pk=image_id, state=Image.State.DELETING, deletion__isnull=False)
        .first()
    )
    if image is None:
        return
    try:
        images.run_image_deletion(image, _turn())
    except TurnOver:
        _queue_next_turn(delete_image, image)
        return
    except Exception as error:
        log.warning("deletion of %s failed: %s", image.repository, error, exc_info=is_unforeseen(error))
        ImageDeletion.objects.filter(image_id=image_id).update(problem=problem_sentence(error))
        if not _count_failure(Kind.DELETE_IMAGE, image.repository, error):
            raise
        cancel.cancel_image_deletion(image, final_sentence(error))
        return
    log.info("image %s deleted with all its tags", image.repository)


@app.task(name="images.delete_tags", queue=WORK_QUEUE, retry=KeepTrying())
def delete_tags(image_id: int, names: list[str] | None = None) -> None:
    """Delete the tags that are marked for deletion; other tags of their digests stay, and tags that were pushed again.

    :param names: not read; jobs queued by older code still pass it have it.
    """
    image = _active_image(image_id)
    if image is None:
        return
    try:
        tags.run_tag_deletion(image, _turn())
    except TurnOver:
        _queue_next_turn(delete_tags, image)
    except Exception as error:
        log.warning("deletion of tags of %s failed: %s", image.repository, error, exc_info=is_unforeseen(error))
        with image_locked(image_id):
            Tag.objects.filter(image=image, state=Tag.State.DELETING).update(problem=problem_sentence(error))
            Image.objects.filter(pk=image_id).update(changed_at=timezone.now())
        if not _count_failure(Kind.DELETE_TAGS, image.repository, error):
            raise
        cancel.cancel_tag_deletion(image, final_sentence(error))
    else:
        failures.forget(Kind.DELETE_TAGS, image.repository)


@app.task(name="images.delete_leftovers", queue=WORK_QUEUE, retry=KeepTrying())
def delete_leftovers(image_id: int) -> None:
    """Delete what a cancelled deletion of tags has left: tags that point at the tombstone, and marked tags."""
    image = _active_image(image_id)
    if image is None:
        return
    try:
        remove_tombstone(image.repository)
        tags.run_tag_deletion(image, _turn())
    except TurnOver:
        _queue_next_turn(delete_tags, image)
    except Exception as error:
        log.warning("deletion of leftovers of %s failed: %s", image.repository, error, exc_info=is_unforeseen(error))
        if not _count_failure(Kind.DELETE_TAGS, image.repository, error):
            raise
    else:
        failures.forget(Kind.DELETE_TAGS, image.repository)


def _active_image(image_id: int) -> Image | None:
    return Image.objects.select_related("namespace").filter(pk=image_id, state=Image.State.ACTIVE).first()


def _queue_next_turn(task: Task[Any, Any, Any], image: Image) -> None:
    lock, priority = repository_lock(image.repository), priority_of(image, after_turn=True)
    task.configure(lock=lock, priority=priority).defer(image_id=image.pk)


def _count_failure(kind: str, repository: str, error: Exception) -> bool:
    """Count a failed deletion; whether it is given up now."""
    return failures.record_failure(
        kind, repository, sentence=final_sentence(error), error=error, patience=patience(error)
    )


@app.task(name="images.copy", queue=WORK_QUEUE, retry=KeepTrying())
def copy(copy_id: int) -> None:
    """Copy a tag; idempotent."""
    copying.run(copy_id)


@app.periodic(cron="23 4 * * *")
@app.task(name="images.forget_documents", queue=WORK_QUEUE, queueing_lock="images.forget_documents")
def forget_documents(timestamp: int = 0) -> None:
    """Delete documents that no image has any more, old activity, and pushed digests that are no longer needed."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Prevents a race: another transaction could find a document and rely on it while it is deleted.
        cursor.execute("LOCK TABLE images_document IN SHARE ROW EXCLUSIVE MODE")
        Document.objects.filter(~Exists(Manifest.objects.filter(digest=OuterRef("digest")))).delete()
    oldest = timezone.now().date() - datetime.timedelta(days=_ACTIVITY_DAYS)
    DailyActivity.objects.filter(day__lt=oldest).delete()
    pushed_digests.forget_needless()
    _forget_gone_pushes()


def _forget_gone_pushes() -> None:
    """Forget pushed digests of repositories without an image that the registry no longer has."""
    rows = pushed_digests.without_image(_PUSHES_AT_ONCE)
    try:
        found = at_once(lambda row: digest_of(row.repository, row.digest), rows)
    except RegistryError as error:
        log.warning("pushed digests without an image are checked again tomorrow: %s", error)
        return
    for row, there in zip(rows, found, strict=True):
        if not there:
            pushed_digests.forget(row.repository, {row.digest: row.notified_at})
