"""Failures of background work: counted, given up after a bounded number of tries, and listed.

An outage of the registry is nobody's fault and passes: it is not counted, and work goes on being tried. Everything else
is tried a few times and then given up, so that no job repeats for ever what cannot succeed.
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

# With the waits between them (``console.jobs.queue.KeepTrying``) about two minutes.
MOST_TRIES = 8
# A registry that answers 500, or only reads, may have a full disk: what writes is tried for so long.
PATIENCE = datetime.timedelta(days=1)
BROKEN = "Something went wrong inside My Images. Ask an administrator to check the log."


class DeletesAreOff(Unsupported):
    """The registry stores and does not delete. One whose disk is full refuses both, and will do both again."""


def record_failure(
    kind: str,
    repository: str,
    reference: str = "",
    *,
    sentence: str,
    error: Exception,
    patience: datetime.timedelta = datetime.timedelta(0),
) -> bool:
    """Count one more failure of a piece of work; whether it is given up now.

    :param sentence: what the pages say.
    :param patience: how long the work is tried at least.
    :raises Exception: ``error`` itself, when the database or the registry is away: it is to be tried again then.
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
            again = row.given_up_at is not None  # asked for anew: counted from the beginning
            WorkFailure.objects.filter(pk=row.pk).update(
                **texts,
                tries=1 if again else F("tries") + 1,
                first_at=now if again else F("first_at"),
                given_up_at=None,
            )
            row.refresh_from_db()
        given_up = row.tries >= MOST_TRIES and now - row.first_at >= patience
        if given_up:
            WorkFailure.objects.filter(pk=row.pk).update(given_up_at=now)
            _show(repository)
    return given_up


def patience_with(error: Exception) -> datetime.timedelta:
    """How long work that writes to the registry is tried after ``error``."""
    read_only = isinstance(error, Unsupported) and not isinstance(error, DeletesAreOff)
    waits = read_only or (isinstance(error, RegistryError) and is_of_one_tag(error))
    return PATIENCE if waits else datetime.timedelta(0)


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
    _show(repository)


def leave_behind(repository: str, digests: Iterable[str]) -> None:
    """Record what the registry refuses to delete: it is in nobody's way, and takes room until somebody removes it."""
    for digest in digests:
        give_up(
            Kind.LEFT,
            repository,
            digest,
            sentence="The registry can’t delete this: its link in the storage is damaged. Nobody can pull it.",
        )


def forget(kind: str, repository: str, references: Collection[str] = ("",)) -> None:
    """Forget failures of work that has succeeded, or that nobody wants any more."""
    gone, _rows = WorkFailure.objects.filter(kind=kind, repository=repository, reference__in=references).delete()
    if gone:
        _show(repository)


def forget_repository(repository: str) -> None:
    """Forget all failures of an image that is gone, but not what is left of it in the storage."""
    WorkFailure.objects.filter(repository=repository).exclude(kind=Kind.LEFT).delete()


def _show(repository: str) -> None:
    """Let open pages of the image see that something has changed."""
    Image.objects.filter(full_name=repository).update(changed_at=timezone.now())


def _detail(error: Exception) -> str:
    text = str(error) if isinstance(error, RegistryError) else f"{type(error).__name__}: {error}"
    return text.replace("\x00", "")[:500]
