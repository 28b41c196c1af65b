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
from console.repositories.services import start_deletion, start_tag_deletion

# What an image's page says itself; copies and imports have notices of their own there.
_ON_THE_PAGE = (Kind.INDEX, Kind.DELETE_IMAGE, Kind.DELETE_TAGS)
_OF_NAMES = (Kind.RELEASE, Kind.TRANSFER)
# Kinds of work that can be tried again from their failure.
RETRYABLE = frozenset({*_ON_THE_PAGE, *_OF_NAMES})


def failures_of(image: Image) -> QuerySet[WorkFailure]:
    """What was given up for an image, for its page."""
    return shown_failures(image.repository).order_by("kind", "reference")


def shown_failures(repository: str | OuterRef) -> QuerySet[WorkFailure]:
    """What was given up for a repository and stands on its image's page, in no order."""
    return WorkFailure.objects.filter(repository=repository, kind__in=_ON_THE_PAGE, given_up_at__isnull=False)


def retry(failure: WorkFailure, requested_by: str) -> None:
    """Queue the work of a failure once more. Who may ask is the caller's to have decided.

    :param requested_by: the Account ID of the person who asks.
    :raises ValidationError: when it cannot be tried again from here.
    """
    image = Image.objects.select_related("namespace").filter(full_name=failure.repository).first()
    names = failure.kind in _OF_NAMES
    if failure.kind not in RETRYABLE or (image is None and not names):
        raise ValidationError(_("This cannot be tried again from here."))
    with transaction.atomic():
        record("failure.retry", failure, work=failure.kind, problem=failure.sentence)
        if image is None or names:
            failure.delete()  # the next minute's job does what it no longer finds given up
        elif failure.kind == Kind.INDEX:
            _forget(failure)
            # By its name, which jobs queued by earlier versions have too.
            app.configure_task("indexing.reread_tag").defer(repository=failure.repository, tag=failure.reference)
        elif failure.kind == Kind.DELETE_IMAGE:
            start_deletion(image, requested_by)
        else:
            _retry_tag_deletion(image, requested_by)


def _retry_tag_deletion(image: Image, requested_by: str) -> None:
    """Delete once more the tags that could not be deleted, or what is left where they are gone from the index.

    Tags that the deletion left at the tombstone have no row: a job removes the tombstone.
    """
    tags = Tag.objects.filter(image=image, state=Tag.State.ACTIVE).exclude(problem="")
    if names := list(tags.values_list("name", flat=True)):
        start_tag_deletion(image, names, requested_by)
    else:
        failures.forget(Kind.DELETE_TAGS, image.repository)
        delete_leftovers.configure(lock=repository_lock(image.repository)).defer(image_id=image.pk)


def dismiss(failure: WorkFailure) -> None:
    """Take a failure off the pages."""
    with transaction.atomic():
        record("failure.dismiss", failure, work=failure.kind, problem=failure.sentence)
        _forget(failure)


def _forget(failure: WorkFailure) -> None:
    if failure.kind == Kind.DELETE_TAGS:
        Tag.objects.filter(image__full_name=failure.repository, state=Tag.State.ACTIVE).update(problem="")
    failures.forget(failure.kind, failure.repository, [failure.reference])
