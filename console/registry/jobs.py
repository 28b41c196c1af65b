"""Background jobs on images: delete an image, delete tags, copy."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from procrastinate.contrib.django import app

from console.jobs.queue import WORK_QUEUE, KeepTrying, repository_lock
from console.registry import cancel_deletion, copying, deletion, tag_deletion
from console.registry.connection import at_once
from console.registry.contents import NotThereYet, digest_of, remove_tombstone
from console.repositories import failures, pushed_digests
from console.repositories.failures import DeletesAreOff, Kind
from console.repositories.fairness import priority_of
from console.repositories.locks import image_locked
from console.repositories.models import DailyActivity, Document, Image, ImageDeletion, Manifest, Tag
from registry_client import NameUnknown, RegistryError, RegistryUnavailable, Unsupported

log = logging.getLogger(__name__)

_ACTIVITY_DAYS = 400
_PUSHES_AT_ONCE = 2000
# Longer work gives its place to others after so many seconds, and waits for the next.
_TURN_SECONDS = 20


def _turn() -> Callable[[], bool]:
    """Whether a turn that begins now is over."""
    end = time.monotonic() + _TURN_SECONDS
    return lambda: time.monotonic() > end


def problem_sentence(error: Exception) -> str:
    """What the row says while a failed step waits to be tried again."""
    if isinstance(error, (deletion.StillBusy, NotThereYet)):
        return "Tags are still being pushed to this image. The deletion goes on when that ends."
    if isinstance(error, RegistryUnavailable):
        if error.status is not None:
            return "The registry answers with an error of its own; its log says more. Retrying automatically."
        return "The registry does not answer. Retrying automatically."
    if isinstance(error, NameUnknown):
        return "The registry no longer knows this image, so nothing is deleted. Look at the registry’s storage."
    if isinstance(error, DeletesAreOff):
        return "The registry does not allow deletions: they are switched off. Ask an administrator to switch them on."
    if isinstance(error, Unsupported):
        return (
            "The registry is read-only, for example because its disk is full. Ask an administrator. "
            "Retrying automatically."
        )
    if not isinstance(error, RegistryError):
        return "Something went wrong inside My Images. Retrying automatically."
    return "The registry refused a step of the deletion. Retrying automatically."


def final_sentence(error: Exception) -> str:
    """What the pages say of a deletion that was given up."""
    if isinstance(error, deletion.StillBusy):
        return (
            "Tags were pushed to this image faster than they could be deleted. Stop the pushes, then delete it again."
        )
    if isinstance(error, NameUnknown):
        return "The registry does not know this image, so nothing was deleted. Ask an administrator."
    if isinstance(error, Unsupported):
        return "The registry does not allow deletions. Ask an administrator, then delete it again."
    if isinstance(error, RegistryUnavailable):
        return "The registry answered with an error of its own each time. Ask an administrator, then delete it again."
    if not isinstance(error, RegistryError):
        return failures.BROKEN
    return "The registry refused a step of the deletion each time. Ask an administrator, then delete it again."


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
        deletion.delete_everything(image, _turn())
    except deletion.TurnOver:
        lock, priority = repository_lock(repository), priority_of(image, after_turn=True)
        delete_image.configure(lock=lock, priority=priority).defer(image_id=image_id)
        return
    except Exception as error:
        log.warning("deletion of %s waits: %s", repository, error, exc_info=_is_unforeseen(error))
        sentence = problem_sentence(error)
        ImageDeletion.objects.filter(image_id=image_id).update(problem=sentence)
        if not _count_failure(Kind.DELETE_IMAGE, repository, error):
            raise
        cancel_deletion.cancel_deletion(image, final_sentence(error))
        return
    log.info("image %s deleted with all its tags", repository)


@app.task(name="images.delete_tags", queue=WORK_QUEUE, retry=KeepTrying())
def delete_tags(image_id: int, names: list[str] | None = None) -> None:
    """Delete the tags that are marked for it. Other tags of the same digests stay, and so does a tag pushed anew.

    :param names: not read; jobs that a version before 0.9 has queued have it.
    """
    image = Image.objects.select_related("namespace").filter(pk=image_id, state=Image.State.ACTIVE).first()
    if image is None:
        return
    try:
        tag_deletion.delete_marked_tags(image, _turn())
    except deletion.TurnOver:
        lock, priority = repository_lock(image.repository), priority_of(image, after_turn=True)
        delete_tags.configure(lock=lock, priority=priority).defer(image_id=image_id)
    except Exception as error:
        log.warning("deletion of tags of %s waits: %s", image.repository, error, exc_info=_is_unforeseen(error))
        with image_locked(image_id):
            Tag.objects.filter(image=image, state=Tag.State.DELETING).update(problem=problem_sentence(error))
            Image.objects.filter(pk=image_id).update(changed_at=timezone.now())
        if not _count_failure(Kind.DELETE_TAGS, image.repository, error):
            raise
        cancel_deletion.cancel_tag_deletion(image, final_sentence(error))
    else:
        failures.forget(Kind.DELETE_TAGS, image.repository)


@app.task(name="images.delete_leftovers", queue=WORK_QUEUE, retry=KeepTrying())
def delete_leftovers(image_id: int) -> None:
    """Remove the tombstone, with tags that point at it, after a deletion of tags that could not be finished."""
    image = Image.objects.select_related("namespace").filter(pk=image_id, state=Image.State.ACTIVE).first()
    if image is None:
        return
    try:
        remove_tombstone(image.repository)
        tag_deletion.delete_marked_tags(image, _turn())
    except deletion.TurnOver:
        lock, priority = repository_lock(image.repository), priority_of(image, after_turn=True)
        delete_tags.configure(lock=lock, priority=priority).defer(image_id=image_id)
    except Exception as error:
        log.warning("leftovers of tags of %s wait: %s", image.repository, error, exc_info=_is_unforeseen(error))
        if not _count_failure(Kind.DELETE_TAGS, image.repository, error):
            raise
    else:
        failures.forget(Kind.DELETE_TAGS, image.repository)


def _count_failure(kind: str, repository: str, error: Exception) -> bool:
    """Count a failed deletion; whether it is given up now."""
    return failures.record_failure(
        kind, repository, sentence=final_sentence(error), error=error, patience=_patience(error)
    )


def _patience(error: Exception) -> datetime.timedelta:
    return failures.PATIENCE if isinstance(error, deletion.StillBusy) else failures.patience_with(error)


def _is_unforeseen(error: Exception) -> bool:
    return not isinstance(error, (RegistryError, deletion.StillBusy))


@app.task(name="images.copy", queue=WORK_QUEUE, retry=KeepTrying())
def copy(copy_id: int) -> None:
    """Copy a tag; begins or goes on."""
    copying.run(copy_id)


@app.periodic(cron="23 4 * * *")
@app.task(name="images.forget_documents", queue=WORK_QUEUE, queueing_lock="images.forget_documents")
def forget_documents(timestamp: int = 0) -> None:
    """Remove the content of manifests that no image has any more, and what is too old to be shown or needed."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Nobody may find a document there and count on it while it goes: those who are about to are waited for.
        cursor.execute("LOCK TABLE images_document IN SHARE ROW EXCLUSIVE MODE")
        Document.objects.filter(~Exists(Manifest.objects.filter(digest=OuterRef("digest")))).delete()
    oldest = timezone.now().date() - datetime.timedelta(days=_ACTIVITY_DAYS)
    DailyActivity.objects.filter(day__lt=oldest).delete()
    pushed_digests.forget_needless()
    _forget_gone_pushes()


def _forget_gone_pushes() -> None:
    """Forget what was pushed and never became an image, and is gone from the registry."""
    rows = pushed_digests.without_image(_PUSHES_AT_ONCE)
    try:
        found = at_once(lambda row: digest_of(row.repository, row.digest), rows)
    except RegistryError as error:
        log.warning("what was pushed by its digest alone is looked for tomorrow: %s", error)
        return
    for row, there in zip(rows, found, strict=True):
        if not there:
            pushed_digests.forget(row.repository, {row.digest: row.told_at})
