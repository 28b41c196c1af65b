"""Remove from the index what the gate has just deleted from the registry, in the request of the deletion."""

from __future__ import annotations

import datetime
from typing import NamedTuple

from console.audit.origin import origin
from console.audit.services import Event, record_all
from console.registry.index import reservations, store
from console.registry.index.hints import Notice, remember
from console.registry.index.reservations import Reservation
from console.repositories.locks import image_locked
from console.repositories.models import Image, Manifest, Tag
from console.repositories.totals import refresh_totals_of_locked
from registry_client import is_digest


class DeletedTag(NamedTuple):
    """A tag's row as it was before its deletion: the version of the optimistic lock."""

    pk: int
    name: str
    manifest: int
    digest: str
    pushed_at: datetime.datetime


def rows_of(image: Image, reference: str) -> list[DeletedTag]:
    """The rows of a tag, or of all tags that name a digest; to be read before the deletion."""
    tags = Tag.objects.filter(image=image, state=Tag.State.ACTIVE)
    chosen = tags.filter(manifest__digest=reference) if is_digest(reference) else tags.filter(name=reference)
    rows = chosen.order_by("name").values_list("pk", "name", "manifest_id", "manifest__digest", "pushed_at")
    return [DeletedTag(*row) for row in rows]


def forget(image: Image, reference: str, rows: list[DeletedTag], account: str, reservation: Reservation) -> bool:
    """Remove the rows of what was deleted, with totals and audit events, and delete the hint.

    :param rows: as ``rows_of`` returned them before the deletion. A row that was written since is left to the worker: a
        push may have come after the deletion, or before it.
    :param account: the Account ID of the person.
    :return: whether nothing is left to the worker; otherwise its job has to be queued.
    """
    with image_locked(image.pk):
        locked = Tag.objects.select_for_update().filter(pk__in=[row.pk for row in rows], state=Tag.State.ACTIVE)
        now = {pk: version for pk, *version in locked.order_by("pk").values_list("pk", "manifest_id", "pushed_at")}
        going = {row.pk for row in rows if now.get(row.pk) == [row.manifest, row.pushed_at]}
        Tag.objects.filter(pk__in=going).delete()
        address = origin().address
        record_all(
            Event("tag.deleted", f"{image.repository}:{row.name}", account, {"old": row.digest}, address)
            for row in rows
            if row.pk in going
        )
        # A push that is in progress may write its row after this: then the worker compares with the registry.
        done = len(going) == len(rows) and reservation.is_alone
        if is_digest(reference):
            reservations.keep_pushes_of(image.repository, reference)
            done &= _forget_manifest(image, reference)
        refresh_totals_of_locked([image.pk])
        if done:
            reservations.release(reservation)
    return done


def _forget_manifest(image: Image, digest: str) -> bool:
    """Remove the row of a manifest that no tag names; whether it is gone, and no other row depends on it.

    Tags of an index that names it are synced: its size and platforms change.
    """
    Manifest.objects.filter(image=image, digest=digest, tags=None).delete()
    store.clear_child_flags(image)
    naming = store.tags_naming(image, digest)
    remember(Notice(image.repository, tag) for tag in naming)
    return not naming and not Manifest.objects.filter(image=image, digest=digest).exists()
