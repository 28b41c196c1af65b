"""Rows of tags: outcome of a sync, and how it is written."""

from __future__ import annotations

import datetime
import enum

from django.db import connection
from django.utils import timezone

from console.registry.index import audit_events, parse
from console.repositories.models import Image, Manifest, Tag


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


def subject_of(name: str, manifest: Manifest) -> str:
    """The subject of a tag: by its name, else by its manifest.

    Empty in a cycle back to the tag's own manifest: tags that are subjects of each other would not be shown anywhere.
    """
    subject = parse.subject_of_tag(name) or manifest.subject
    if not subject:
        return ""
    with connection.cursor() as cursor:
        cursor.execute(_LEADS_TO, [subject, manifest.image_id, manifest.digest])
        return "" if cursor.fetchone()[0] else subject


def point_tag(name: str, manifest: Manifest, pushed_at: datetime.datetime | None, pushed_by: str) -> Outcome:
    """Point the row of a tag at ``manifest`` (create or update); the caller holds the image's lock."""
    subject = subject_of(name, manifest)
    if manifest.doomed:
        Manifest.objects.filter(pk=manifest.pk).update(doomed=False)
    row = Tag.objects.filter(image=manifest.image_id, name=name).first()
    if row is None:
        moment = pushed_at or timezone.now()
        Tag.objects.create(
            image_id=manifest.image_id,
            name=name,
            manifest=manifest,
            subject=subject,
            pushed_at=moment,
            pushed_by=pushed_by,
        )
        return Outcome.ADDED
    moved = row.manifest_id != manifest.pk
    before = (row.pushed_at, row.pushed_by, row.subject, row.missing_at)
    if moved or (pushed_at is not None and pushed_at > row.pushed_at):
        row.pushed_at, row.pushed_by = pushed_at or timezone.now(), pushed_by
    # The same image was pushed again after the deletion of the tag was requested: the later one wins.
    repushed = bool(pushed_at and row.deleting_since and pushed_at > row.deleting_since)
    if moved or repushed:
        if row.state == Tag.State.DELETING:
            audit_events.record_kept(row.image.repository, name, manifest.digest, pushed_by)
        row.manifest, row.state, row.problem = manifest, Tag.State.ACTIVE, ""
    row.subject, row.missing_at = subject, None
    if moved or repushed or before != (row.pushed_at, row.pushed_by, row.subject, row.missing_at):
        row.save()
    return Outcome.MOVED if moved else Outcome.SAME
