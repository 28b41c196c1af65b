"""Failures of background work: counted, retried a bounded number of times, then given up and shown on pages.

An outage of the registry is not counted: the work is retried without limit. Work that fails otherwise is retried a few
times and then given up, so that no job retries for ever what cannot succeed.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from console.jobs.outages import is_database_outage, is_of_one_tag, is_outage
from console.repositories.models import Image, WorkFailure
from registry_client import RegistryError, Unsupported

Kind = WorkFailure.Kind

# With the backoff between attempts (``console.jobs.queue.KeepTrying``) about two minutes.
MOST_TRIES = 8
# Minimum time of retries for work that writes, when the registry answers 500 or is read-only: its disk may be full.
PATIENCE = datetime.timedelta(days=1)
BROKEN = "Something went wrong inside My Images. Ask an administrator to check the log."


class DeletesAreOff(Unsupported):
    """The registry accepts pushes but has deletes disabled (if its disk were full, it would reject both)."""


def record_failure(
    kind: str,
    repository: str,
    reference: str = "",
    *,
    sentence: str,
    error: Exception,
    patience: datetime.timedelta = datetime.timedelta(0),
) -> bool:
    """Count one more failure of a piece of work; returns whether it is given up now.

    :param sentence: the message for pages.
    :param patience: minimum time of retries.
    :raises Exception: ``error`` itself, during an outage of the database or the registry: the job is then retried.
    """
    if is_database_outage(error) or is_outage(error):
        raise error
    now = timezone.now()
    texts = {"sentence": sentence[:300], "detail": _detail(error), "last_at": now}
    with transaction.atomic():
        row, created = WorkFailure.objects.select_for_update().get_or_create(
            kind=kind, repository=repository, reference=reference, defaults={**texts, "first_at": now}
        )
        if not created:
            restarted = row.given_up_at is not None  # requested again: count from the beginning
            WorkFailure.objects.filter(pk=row.pk).update(
                **texts,
                tries=1 if restarted else F("tries") + 1,
                first_at=now if restarted else F("first_at"),
                given_up_at=None,
            )
            row.refresh_from_db()
        given_up = row.tries >= MOST_TRIES and now - row.first_at >= patience
        if given_up:
            WorkFailure.objects.filter(pk=row.pk).update(given_up_at=now)
            _touch_image(repository)
    return given_up


def patience_with(error: Exception) -> datetime.timedelta:
    """Minimum time of retries after ``error``, for work that writes to the registry."""
    read_only = isinstance(error, Unsupported) and not isinstance(error, DeletesAreOff)
    may_recover = read_only or (isinstance(error, RegistryError) and is_of_one_tag(error))
    return PATIENCE if may_recover else datetime.timedelta(0)


def give_up(kind: str, repository: str, reference: str = "", *, sentence: str, detail: str = "") -> None:
    """Record work that can never succeed."""
    now = timezone.now()
    WorkFailure.objects.update_or_create(
        kind=kind,
        repository=repository,
        reference=reference,
        defaults={"sentence": sentence[:300], "detail": detail[:500], "last_at": now, "given_up_at": now},
        create_defaults={
            "sentence": sentence[:300],
            "detail": detail[:500],
            "first_at": now,
            "last_at": now,
            "given_up_at": now,
        },
    )
    _touch_image(repository)


def leave_behind(repository: str, digests: Iterable[str]) -> None:
    """Record manifests that the registry cannot delete; they only take up space until an operator removes them."""
    for digest in digests:
        give_up(
            Kind.LEFT,
            repository,
            digest,
            sentence="The registry can’t delete this: its link in the storage is damaged. Nobody can pull it.",
        )


def forget(kind: str, repository: str, references: Collection[str] = ("",)) -> None:
    """Delete the failures of work that has succeeded, or is no longer wanted."""
    deleted, _rows = WorkFailure.objects.filter(kind=kind, repository=repository, reference__in=references).delete()
    if deleted:
        _touch_image(repository)


def forget_repository(repository: str) -> None:
    """Delete all failures of a deleted image, except those about its remains in the storage."""
    WorkFailure.objects.filter(repository=repository).exclude(kind=Kind.LEFT).delete()


def _touch_image(repository: str) -> None:
    """Update the image's ``changed_at``, so that open pages reload."""
    Image.objects.filter(full_name=repository).update(changed_at=timezone.now())


def _detail(error: Exception) -> str:
    text = str(error) if isinstance(error, RegistryError) else f"{type(error).__name__}: {error}"
    return text.replace("\x00", "")[:500]
