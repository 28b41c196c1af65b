"""Retry or dismiss work that was given up."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import OuterRef, QuerySet
from django.utils.translation import gettext as _
from procrastinate.contrib.django import app

from console.audit.services import record
from console.jobs.queue import repository_lock
from console.registry.jobs import delete_leftovers
from console.repositories import failures
from console.repositories.failures import Kind
from console.repositories.models import Image, Tag, WorkFailure
from console.repositories.services import queue_image_deletion, queue_tag_deletion

# Shown on the image's page; copies and imports have their own notices there.
_ON_THE_PAGE = (Kind.INDEX, Kind.DELETE_IMAGE, Kind.DELETE_TAGS)
_OF_NAMES = (Kind.RELEASE, Kind.TRANSFER)
# Kinds of work that can be tried again from their failure.
RETRYABLE = frozenset({*_ON_THE_PAGE, *_OF_NAMES})


def failures_of(image: Image) -> QuerySet[WorkFailure]:
    """The failures that an image's page shows: work on it that was given up."""
    return shown_failures(image.repository).order_by("kind", "reference")


def shown_failures(repository: str | OuterRef) -> QuerySet[WorkFailure]:
    """As ``failures_of``, by the repository's name and without an order."""
    return WorkFailure.objects.filter(repository=repository, kind__in=_ON_THE_PAGE, given_up_at__isnull=False)


def retry(failure: WorkFailure, requested_by: str) -> None:
    """Queue the work of a failure again. The caller has checked the right to do it.

    :param requested_by: the Account ID of the person.
    :raises ValidationError: when it cannot be retried from here.
    """
    image = Image.objects.select_related("namespace").filter(full_name=failure.repository).first()
    names = failure.kind in _OF_NAMES
    if failure.kind not in RETRYABLE or (image is None and not names):
        raise ValidationError(_("This cannot be retried from here."))
    with transaction.atomic():
        record("failure.retry", failure, work=failure.kind, problem=failure.sentence)
        if image is None or names:
            failure.delete()  # the periodic job retries what is not given up
        elif failure.kind == Kind.INDEX:
            _forget(failure)
            # By its name, as jobs queued by earlier versions.
            app.configure_task("indexing.reread_tag").defer(repository=failure.repository, tag=failure.reference)
        elif failure.kind == Kind.DELETE_IMAGE:
            queue_image_deletion(image, requested_by)
        else:
            _retry_tag_deletion(image, requested_by)


def _retry_tag_deletion(image: Image, requested_by: str) -> None:
    """Mark the tags again that could not be deleted; without any, queue a job for the leftovers.

    Tags that the deletion left at the tombstone have no row: that job removes the tombstone.
    """
    tags = Tag.objects.filter(image=image, state=Tag.State.ACTIVE).exclude(problem="")
    if names := list(tags.values_list("name", flat=True)):
        queue_tag_deletion(image, names, requested_by)
    else:
        failures.forget(Kind.DELETE_TAGS, image.repository)
        delete_leftovers.configure(lock=repository_lock(image.repository)).defer(image_id=image.pk)


def dismiss(failure: WorkFailure) -> None:
    """Delete a failure, so that no page shows it."""
    with transaction.atomic():
        record("failure.dismiss", failure, work=failure.kind, problem=failure.sentence)
        _forget(failure)


def _forget(failure: WorkFailure) -> None:
    if failure.kind == Kind.DELETE_TAGS:
        Tag.objects.filter(image__full_name=failure.repository, state=Tag.State.ACTIVE).update(problem="")
    failures.forget(failure.kind, failure.repository, [failure.reference])
