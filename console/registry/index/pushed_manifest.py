"""Write a manifest that the gate has just pushed to the index, in the request of the push."""

from __future__ import annotations

import contextlib
import datetime
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q

from console.access.names import split_repository
from console.database.statements import pipelined_transaction, with_prepared_statements
from console.namespaces.models import Namespace
from console.registry.index import activity, jobs, reservations, store, tag_rows, tree, write_tags
from console.registry.index.models import Hint
from console.registry.index.parse import Reading
from console.registry.index.reservations import Reservation
from console.registry.index.sync import TagSync, image_for_push
from console.registry.index.write_tags import Answer, TagPush, TagRow
from console.registry.large_content import SMALL_BYTES, one_at_a_time
from console.repositories.locks import image_locked
from console.repositories.models import Image, Manifest
from console.repositories.totals import adjust_totals_of_locked, refresh_totals_of_locked
from registry_client import Manifest as RegistryManifest

log = logging.getLogger(__name__)

# Seconds for reading what an index names: a client waits. A larger index is left to the worker.
_MOST_SECONDS = 2.0


class LeftToWorker(Exception):
    """The manifest is not completely in the index; its hint stays, and the worker has to be called."""


@dataclass(frozen=True)
class PushedManifest:
    """A manifest that a client pushes.

    ``tag`` is empty when it is pushed by its digest. ``pushed_by`` is a user name.
    """

    repository: str
    tag: str
    manifest: RegistryManifest
    pushed_at: datetime.datetime
    pushed_by: str

    @property
    def reference(self) -> str:
        """The tag, or the digest."""
        return self.tag or self.manifest.digest

    @property
    def is_indexed(self) -> bool:
        """Whether it gets a row: with a tag, or with a subject, under which pages and referrers show it."""
        return bool(self.tag or self.manifest.subject_digest)


def sync_pushed_manifest(
    push: PushedManifest, before: TagRow | None, reservation: Reservation, account: str, *, is_new: bool
) -> None:
    """Write a pushed manifest to the index: image, manifest, tag, totals, activity and audit events; idempotent.

    Same result as the sync of a notification. What it names is read from the registry, as far as the index does not
    have it. Then all is written in one transaction, which also deletes the hint.

    :param push: the registry has it already; see ``PushedManifest.is_indexed``.
    :param before: the tag's row as read before the push, the version of the optimistic lock: when another process wrote
        the row meanwhile, the registry is asked what the tag points at.
    :param reservation: the hint that was stored before the push.
    :param account: the Account ID of ``push.pushed_by``.
    :param is_new: whether the index did not have the manifest before the push.
    :raises LeftToWorker: when there is too much to read, or the registry could not read a part.
    :raises registry_client.RegistryError: when the registry fails; the hint stays.
    """
    image = _image(push, before)
    if image is None or image.state != Image.State.ACTIVE:
        # The image is being deleted: the deletion removes what was pushed.
        reservations.release(reservation)
        return
    readings = _read(image, push.manifest, is_new=is_new)
    if push.tag:
        complete = _write_tag(push, image, before, readings, reservation, account, is_new=is_new)
    else:
        complete = _write_untagged(push, image, readings, reservation)
    if before is None:
        _sync_earlier(image)
    if not complete:
        raise LeftToWorker(f"{push.repository}@{push.manifest.digest} names something that cannot be read now")


def _image(push: PushedManifest, before: TagRow | None) -> Image | None:
    """The image of a push, created if it does not exist. It may be deleted at any time until its row is locked."""
    parts = split_repository(push.repository)
    if before is None or parts is None:
        return image_for_push(push.repository, push.pushed_by)
    # All that is needed of it; reading its row would take a third of the time of writing the tag's.
    return Image(pk=before.image, namespace=Namespace(name=parts[0]), name=parts[1])


def _read(image: Image, manifest: RegistryManifest, *, is_new: bool) -> list[Reading]:
    """The manifest and all that it names, as far as the index does not have it."""
    if not is_new and store.is_read(image, manifest.digest):
        return []

    def keep(readings: list[Reading]) -> None:
        with transaction.atomic():
            tag_rows.lock_active(image)
            store.store_all((image.pk, one) for one in readings)

    try:
        with one_at_a_time() if len(manifest.content) > SMALL_BYTES else contextlib.nullcontext():
            return tree.read_whole(image, manifest.digest, keep, lenient=True, manifest=manifest, is_over=_deadline())
    except (tree.TooLarge, tag_rows.NotActive) as error:
        raise LeftToWorker(f"{image.repository}@{manifest.digest}: {type(error).__name__}") from error


def _deadline() -> Callable[[], bool]:
    end = time.monotonic() + _MOST_SECONDS
    return lambda: time.monotonic() > end


def _write_tag(
    push: PushedManifest,
    image: Image,
    before: TagRow | None,
    readings: list[Reading],
    reservation: Reservation,
    account: str,
    *,
    is_new: bool,
) -> bool:
    """Write the tag's row; returns whether all is in the index."""
    tag = TagPush(push.repository, push.tag, push.pushed_at, push.pushed_by)
    answer = Answer(tag, image.pk, push.manifest.digest, before)

    def write() -> bool | None:
        with pipelined_transaction():
            written = write_tags.write_in_transaction(
                [answer], [(image.pk, one) for one in readings], {push.pushed_by: account}
            )
            if write_tags.key_of(tag) in written.inactive:
                # The image is being deleted: the deletion removes what was pushed.
                reservations.release(reservation)
                return True
            if write_tags.key_of(tag) not in written.outcomes:
                return None
            _count(push)
            if write_tags.key_of(tag) in written.plain and (not readings or (is_new and not push.manifest.is_index)):
                adjust_totals_of_locked(image.pk, push.tag, before.manifest if before else None)
            else:
                refresh_totals_of_locked([image.pk])
            return _finish(push, image, reservation)

    if (complete := with_prepared_statements(write)) is not None:
        return complete
    # Lost a race: another push of the tag, or a deletion.
    tag_sync = TagSync(push.repository, lenient=True)
    tag_sync.sync_tag(push.tag, pushed_at=push.pushed_at, pushed_by=push.pushed_by)
    with image_locked(image.pk):
        _count(push)
        refresh_totals_of_locked([image.pk])
        return _finish(push, image, reservation)


def _write_untagged(push: PushedManifest, image: Image, readings: list[Reading], reservation: Reservation) -> bool:
    """Write the manifest's row; returns whether all is in the index."""
    with transaction.atomic():
        try:
            tag_rows.lock_active(image)
        except tag_rows.NotActive:
            reservations.release(reservation)
            return True
        store.store_all((image.pk, one) for one in readings)
        refresh_totals_of_locked([image.pk])
        return _finish(push, image, reservation)


def _sync_earlier(image: Image) -> None:
    """Queue the sync of what was pushed by its digest before the image existed, unless the index has it by now."""
    waiting = Hint.objects.filter(repository=image.repository, tag__contains=":")
    waiting.filter(tag__in=Manifest.objects.filter(image=image).values("digest")).delete()
    if waiting.exists():
        jobs.queue_sync()


def _count(push: PushedManifest) -> None:
    """Count the push of a tag, in the caller's transaction."""
    activity.store_push(push.repository, push.tag, push.manifest.digest, push.pushed_at)


def _finish(push: PushedManifest, image: Image, reservation: Reservation) -> bool:
    """Delete the hint, in the caller's transaction, which holds the image's lock.

    :return: whether all is in the index. Otherwise the hint stays: the registry could not read a part at that moment.
    """
    complete = not push.manifest.is_index or store.is_read(image, push.manifest.digest)
    if complete:
        reservations.release(reservation)
    return complete


def spare(repository: str, digest: str, pushed_at: datetime.datetime) -> None:
    """Take the mark from a manifest that is about to be deleted with its last tag: it is pushed again, by its digest.

    Of the push and the deletion the later one wins, as for tags (``tag_rows.point``).
    """
    earlier = Q(doomed_at=None) | Q(doomed_at__lt=pushed_at)
    Manifest.objects.filter(earlier, image__full_name=repository, digest=digest, doomed=True).update(doomed=False)
