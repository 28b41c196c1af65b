"""Rows of tags: outcome of a sync, and how it is written."""

from __future__ import annotations

import datetime
import enum
from typing import NamedTuple

from django.utils import timezone

from console.database.statements import frequent_cursor
from console.registry.index import parse
from console.repositories.models import Image


class Outcome(enum.Enum):
    """Outcome of the sync of a tag."""

    SAME = "same"
    ADDED = "added"
    MOVED = "moved"
    REMOVED = "removed"
    IGNORED = "ignored"


class NotActive(Exception):
    """The image is being deleted, or does not exist any more."""


def lock_active(image: Image) -> None:
    """Lock the image's row until the caller's transaction ends.

    :raises NotActive: when it is being deleted.
    """
    if not Image.objects.select_for_update(of=("self",)).filter(pk=image.pk, state=Image.State.ACTIVE).exists():
        raise NotActive


# The subjects of a digest by the tags that name it, and their subjects in turn.
_LEADS_TO = """
WITH RECURSIVE chain (digest) AS (
    SELECT %s::text
    UNION
    SELECT tag.subject FROM chain
    JOIN images_manifest AS manifest ON manifest.image_id = %s AND manifest.digest = chain.digest
    JOIN images_tag AS tag ON tag.manifest_id = manifest.id
    WHERE tag.subject <> ''
)
SELECT EXISTS (SELECT FROM chain WHERE digest = %s)
"""


def may_have_subject(name: str, stated: str) -> bool:
    """Whether a tag's name, or its manifest, states a subject."""
    return bool(parse.subject_of_tag(name) or stated)


def subject_of(name: str, image: int, digest: str, stated: str) -> str:
    """The subject of a tag: by its name, else by its manifest.

    Empty in a cycle back to the tag's own manifest: tags that are subjects of each other would not be shown anywhere.

    :param image: the primary key of the tag's image.
    :param digest: of the tag's manifest.
    :param stated: the manifest's subject.
    """
    if not may_have_subject(name, stated):
        return ""
    subject = parse.subject_of_tag(name) or stated
    with frequent_cursor() as cursor:
        cursor.execute(_LEADS_TO, [subject, image, digest])
        return "" if cursor.fetchone()[0] else subject


class Current(NamedTuple):
    """A tag's row as it is now, and the manifest that it is to name; the image's row is locked.

    The fields after ``is_doomed`` are of the tag's row, which there is if ``tag`` is not ``None``.

    :param manifest: the manifest's primary key; ``None`` if it has no row.
    :param subject: the manifest's subject.
    :param is_doomed: whether the manifest is being deleted.
    :param named: the primary key of the manifest that the tag names.
    """

    manifest: int | None
    subject: str
    is_doomed: bool
    tag: int | None
    named: int | None
    pushed_at: datetime.datetime | None
    pushed_by: str
    tag_subject: str
    is_deleting: bool
    deleting_since: datetime.datetime | None
    missing_at: datetime.datetime | None


class Pointed(NamedTuple):
    """The values of a tag's row after a sync.

    :param outcome: ``ADDED``, ``MOVED`` or ``SAME``.
    :param is_written: whether the row differs from what it was.
    :param is_kept: whether its deletion is cancelled, because it was pushed after the request.
    :param is_undeleted: whether state and problem are reset.
    """

    outcome: Outcome
    is_written: bool
    is_kept: bool
    is_undeleted: bool
    subject: str
    pushed_at: datetime.datetime
    pushed_by: str


def point(current: Current, subject: str, pushed_at: datetime.datetime | None, pushed_by: str) -> Pointed:
    """The values of the row of a tag that names ``current.manifest`` from now on.

    :param subject: the tag's subject (``subject_of``).
    """
    if current.tag is None or current.pushed_at is None:
        return Pointed(Outcome.ADDED, True, False, True, subject, pushed_at or timezone.now(), pushed_by)
    moved = current.named != current.manifest
    moment, by = current.pushed_at, current.pushed_by
    if moved or (pushed_at is not None and pushed_at > moment):
        moment, by = pushed_at or timezone.now(), pushed_by
    # The same image was pushed again after the deletion of the tag was requested: the later one wins.
    repushed = bool(pushed_at and current.deleting_since and pushed_at > current.deleting_since)
    written = moved or repushed or current.missing_at is not None
    written |= (moment, by, subject) != (current.pushed_at, current.pushed_by, current.tag_subject)
    outcome = Outcome.MOVED if moved else Outcome.SAME
    return Pointed(
        outcome, written, (moved or repushed) and current.is_deleting, moved or repushed, subject, moment, by
    )
