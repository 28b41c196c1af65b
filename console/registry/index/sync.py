"""Sync one tag or one image: read the current state from the registry and write it to the index (idempotent).

The index is level-triggered: whatever triggers a sync (a notification, early, late or repeated; a reconcile), it writes
the current state. A row is removed only on proof: the registry says that the tag does not exist, and its list of tags
does not contain it either.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress

from django.db import transaction
from django.db.models import Q

from console.access.names import split_repository
from console.accounts.services import account_ids
from console.audit.services import record
from console.database.conflicts import insert
from console.jobs.outages import is_outage
from console.namespaces.models import Namespace
from console.registry.connection import registry
from console.registry.contents import NotThereYet, digest_of
from console.registry.index import audit_events, store, sync_batch, tag_rows, tree, write_tags
from console.registry.index.models import Hint
from console.registry.index.parse import Reading
from console.registry.index.tag_rows import Outcome
from console.registry.index.write_tags import TagPush, TagRow
from console.registry.tombstone import TOMBSTONE_DIGEST
from console.repositories import failures, pushed_digests
from console.repositories.failures import Kind
from console.repositories.locks import image_locked
from console.repositories.models import Image, Manifest, Tag
from console.repositories.totals import refresh_totals
from registry_client import ManifestUnknown, NameUnknown, RegistryError, UnexpectedAnswer, is_digest

log = logging.getLogger(__name__)

# Attempts, when another process writes the tag's row during the sync.
_MOST_TRIES = 10
# How many digests that were pushed before the image existed are queued again at once.
_MOST_PUSHED = 1000
# Message on pages for a tag that cannot be indexed.
UNREADABLE = "The registry has this tag, but cannot read it. Push it again, or delete the image."


def find_image(repository: str) -> Image | None:
    """The image with this repository's name, or ``None``."""
    parts = split_repository(repository)
    if parts is None:
        return None
    return Image.objects.select_related("namespace").filter(namespace__name=parts[0], name=parts[1]).first()


def image_for_push(repository: str, pushed_by: str) -> Image | None:
    """The image of a pushed repository; created if it does not exist but its namespace does."""
    image = find_image(repository)
    parts = split_repository(repository)
    if image is not None or parts is None:
        return image
    namespace = Namespace.objects.filter(name=parts[0]).first()
    if namespace is None:
        return None
    image = Image(namespace=namespace, name=parts[1])
    with transaction.atomic():
        # Locked, so that the namespace is not deleted before the commit.
        if not Namespace.objects.select_for_update(no_key=True).filter(pk=namespace.pk) or not insert(image):
            return find_image(repository)
        _requeue_pushed(image)
        actor = account_ids([pushed_by]).get(pushed_by, pushed_by) or "registry"
        record("image.create", repository, actor=actor, type=image.visibility, by="push")
    return image


def _requeue_pushed(image: Image) -> None:
    """Queue a sync of digests that were pushed before the image existed: they may have a subject."""
    rows = [
        Hint(repository=image.repository, tag=one.digest, pushed_at=one.notified_at, digest=one.digest)
        for one in pushed_digests.unindexed(image)[:_MOST_PUSHED]
    ]
    Hint.objects.bulk_create(rows, ignore_conflicts=True)


class TagSync:
    """Syncs tags of one repository, one at a time. Call ``refresh_totals`` at the end to update the image's totals.

    :param repository: ``namespace/name``.
    :param lenient: whether a part of an image is skipped if the registry answers with a server error for it; otherwise
        the sync of the tag fails, to be retried.
    """

    def __init__(self, repository: str, *, lenient: bool = False) -> None:
        self.repository = repository
        self.lenient = lenient
        self._changed = False
        self._listed: set[str] | None = None
        # Many tags may name the same incomplete index: it is read only for the first of them.
        self._read: set[str] = set()

    def sync_tag(
        self,
        tag: str,
        *,
        pushed_at: datetime.datetime | None = None,
        pushed_by: str = "",
        notified: bool = False,
        digest: str = "",
    ) -> Outcome:
        """Sync the row of a tag, or of a manifest by its digest, with the registry.

        :param pushed_at: time of the push that triggered the sync, if any.
        :param pushed_by: the user name that pushed.
        :param notified: whether a notification triggered the sync; it may arrive before the registry writes the tag.
        :param digest: the pushed digest according to the notification.
        :raises console.registry.contents.NotThereYet: when the notification is new, and the tag is not written yet.
        :raises registry_client.RegistryError: when the registry does not answer; nothing is changed then.
        """
        if is_digest(tag):
            outcome = self._sync_digest(tag, pushed_at)
            pushed_at = None  # a push without a tag alone changes nothing on pages
        else:
            outcome = self._sync_tag(tag, pushed_at, pushed_by, digest, notified_at=pushed_at if notified else None)
        self._changed |= pushed_at is not None or outcome not in {Outcome.SAME, Outcome.IGNORED}
        return outcome

    def sync_pushed(self, pushes: Sequence[sync_batch.Push]) -> set[str]:
        """Sync a batch of tags that name an ordinary image; others are skipped.

        :param pushes: a few, each of another tag: all manifests are held in memory at the same time.
        :return: the synced tags; use ``sync_tag`` for the others.
        :raises registry_client.RegistryError: when the registry answers with an error for one of them, or not at all;
            nothing is changed then, and the tags must be synced one by one.
        """
        result = sync_batch.sync_pushed(pushes, registry())
        self._changed |= bool(result.changed)
        return {tag for _repository, tag in result.done}

    def _sync_tag(
        self,
        tag: str,
        pushed_at: datetime.datetime | None,
        pushed_by: str,
        digest: str,
        notified_at: datetime.datetime | None,
    ) -> Outcome:
        not_yet = NotThereYet(f"{self.repository}:{tag} was pushed just now and is not there yet")
        for _ in range(_MOST_TRIES):
            push = TagPush(self.repository, tag, pushed_at, pushed_by)
            before = write_tags.read_rows([push]).get((self.repository, tag))
            try:
                present = registry().resolve(self.repository, tag)
            except (ManifestUnknown, NameUnknown):
                if digest_of(self.repository, tag):
                    continue  # written meanwhile: the hint would be lost
                if sync_batch.may_come(notified_at, digest, None):
                    raise not_yet from None
                return self._forget(tag)
            if present.digest != TOMBSTONE_DIGEST and sync_batch.may_come(notified_at, digest, present.digest):
                raise not_yet
            try:
                outcome = self._write(push, present.digest, before, digest)
            except (ManifestUnknown, NameUnknown):
                continue  # deleted since the request above
            except tag_rows.NotActive:
                return Outcome.IGNORED
            if outcome is not None:
                return outcome
        raise UnexpectedAnswer(f"{tag} changes faster than it can be read")

    def _write(self, push: TagPush, present: str, before: TagRow | None, pushed: str) -> Outcome | None:
        """Write the registry's answer to the index; ``None`` in a race, when another process wrote the row meanwhile.

        :param present: the digest that the tag names.
        :param before: the tag's row as read before the request to the registry.
        :param pushed: the digest in the notification.
        :raises registry_client.ManifestUnknown: when the registry does not have the manifest any more.
        """
        tag, pushed_at = push.tag, push.pushed_at
        began = _transfer_began(self.repository)
        if began is not None and not (pushed_at is not None and pushed_at <= began and present == pushed):
            return Outcome.IGNORED  # pushed with an old token during a transfer: the clearing will delete it
        if present == TOMBSTONE_DIGEST:
            return self._forget_buried(tag)
        image = image_for_push(self.repository, push.pushed_by)
        if image is None:
            log.warning("%s:%s is in the registry, but its namespace has no owner", self.repository, tag)
            return Outcome.IGNORED
        if image.state == Image.State.DELETING:
            return Outcome.IGNORED
        known = present in self._read or store.is_read(image, present)
        readings = [] if known else self._read_whole(image, present)
        answer = write_tags.Answer(push, image.pk, present, before)
        written = write_tags.write([answer], [(image.pk, reading) for reading in readings])
        key = write_tags.key_of(push)
        if key in written.lost:
            self._read.discard(present)  # a deletion of tags removed it before the row was locked
            return None
        self._read.add(present)
        return Outcome.IGNORED if key in written.inactive else written.outcomes.get(key)

    def _read_whole(self, image: Image, digest: str) -> list[Reading]:
        """Read a manifest with its children and store them; returns the last batch, which the caller has to store."""

        def keep(readings: list[Reading]) -> None:
            with transaction.atomic():
                tag_rows.lock_active(image)
                store.store_all((image.pk, one) for one in readings)

        return tree.read_whole(image, digest, keep, lenient=self.lenient)

    def missing(self, tag: str) -> bool:
        """Whether it is proven that the tag does not exist: the list of tags does not contain it either.

        An unknown repository proves nothing: it may be another registry, or an empty disk.
        """
        return self._is_known() and tag not in (self._listed or ())

    def _is_known(self) -> bool:
        """Whether the registry knows the repository; reads its list of tags."""
        if self._listed is None:
            with suppress(NameUnknown):
                self._listed = set(registry().tags(self.repository))
        return self._listed is not None

    def refresh_totals(self) -> bool:
        """Recount the image's totals; returns whether the stored ones were wrong."""
        image = find_image(self.repository)
        return image is not None and refresh_totals(image.pk, changed=self._changed)

    def _forget(self, tag: str) -> Outcome:
        image = find_image(self.repository)
        if image is None or image.state == Image.State.DELETING or image.namespace.in_transfer:
            return Outcome.IGNORED
        row = Tag.objects.select_related("manifest").filter(image=image, name=tag).first()
        if row is None:
            return Outcome.SAME
        if row.state == Tag.State.DELETING:
            return Outcome.IGNORED  # the deletion in progress needs the row for the digest
        if not self.missing(tag):
            log.warning("%s:%s cannot be read, but may still exist: it stays in the index", self.repository, tag)
            return Outcome.IGNORED
        # Against a race with a push: one before this request is seen here, a later one changes the row.
        if digest_of(self.repository, tag):
            return Outcome.IGNORED
        return self._remove(row)

    def _remove(self, row: Tag) -> Outcome:
        """Remove a tag's row, unless another process has changed it meanwhile."""
        same = Tag.objects.filter(pk=row.pk, manifest=row.manifest_id, pushed_at=row.pushed_at, state=row.state)
        with transaction.atomic():
            deleted, _by_table = same.filter(image__state=Image.State.ACTIVE).delete()
            if deleted:
                audit_events.record_moves([audit_events.TagMove(self.repository, row.name, row.manifest.digest, None)])
        return Outcome.REMOVED if deleted else Outcome.IGNORED

    def _forget_buried(self, tag: str) -> Outcome:
        """Remove the row of a tag that names the tombstone, unless a deletion is in progress.

        A deletion that was given up half-way leaves such tags.
        """
        rows = Tag.objects.filter(image__full_name=self.repository, name=tag, state=Tag.State.ACTIVE)
        row = rows.filter(image__state=Image.State.ACTIVE).select_related("manifest").first()
        # It may have been pushed and synced since the first request.
        if row is None or digest_of(self.repository, tag) != TOMBSTONE_DIGEST:
            return Outcome.IGNORED
        return self._remove(row)

    # --- manifests by their digests ---------------------------------------------------------------------------------

    def _sync_digest(self, digest: str, pushed_at: datetime.datetime | None) -> Outcome:
        """Sync the row of a manifest that was pushed or deleted by its digest.

        An untagged manifest gets a row if it has a subject (OCI image specification, "Image Manifest"), under which
        pages show it; other untagged manifests have a row only while an index names them.
        """
        image = find_image(self.repository)
        if image is None or image.state != Image.State.ACTIVE or image.namespace.in_transfer:
            return Outcome.IGNORED
        row = Manifest.objects.filter(image=image, digest=digest).first()
        if row is None and pushed_at is None:
            return Outcome.SAME  # deleted, and not in the index
        if row is not None and pushed_at is not None:
            # If the manifest is being deleted, the later of push and deletion wins, as for tags
            # (``tag_rows.point``). If the time of the deletion is not known, the push wins.
            earlier = Q(doomed_at=None) | Q(doomed_at__lt=pushed_at)
            Manifest.objects.filter(earlier, pk=row.pk, doomed=True).update(doomed=False)
        if row is not None:
            # Also after a push: a hint of a push and a deletion is merged into one, which has only the push.
            if pushed_at is not None and digest_of(self.repository, digest):
                return Outcome.SAME
            return self._forget_manifest(image, row)
        try:
            if not tree.has_subject(self.repository, digest):
                return Outcome.IGNORED
            readings = self._read_whole(image, digest)
            with transaction.atomic():
                tag_rows.lock_active(image)
                store.store_all((image.pk, one) for one in readings)
        except (ManifestUnknown, NameUnknown):
            return Outcome.SAME
        except tag_rows.NotActive:
            return Outcome.IGNORED
        return Outcome.ADDED

    def _forget_manifest(self, image: Image, row: Manifest) -> Outcome:
        """Remove the row of a manifest that a client has deleted, if the registry confirms that.

        Deleting a digest also deletes its tags, so these are synced here too. Indexes that name it are read again.
        """
        if not self._is_known() or digest_of(self.repository, row.digest):
            return Outcome.IGNORED
        for name in list(row.tags.values_list("name", flat=True)):
            self._sync_tag(name, None, "", "", notified_at=None)
        with image_locked(image.pk):
            deleted, _by_table = Manifest.objects.filter(pk=row.pk, tags=None).delete()
            store.clear_child_flags(image)
        if not deleted:
            return Outcome.IGNORED
        self._read.clear()
        for name in store.tags_naming(image, row.digest):
            self._sync_tag(name, None, "", "", notified_at=None)
        return Outcome.REMOVED


def _transfer_began(repository: str) -> datetime.datetime | None:
    """When the transfer of the repository's namespace began; ``None`` if there is none."""
    namespace = Namespace.objects.filter(name=repository.partition("/")[0], available_at__isnull=False).first()
    return namespace.transfer_began if namespace else None


def index_own(repository: str, references: Iterable[str], pushed_at: datetime.datetime, pushed_by: str) -> None:
    """Sync tags and digests that the console itself has pushed: their notifications are ignored.

    What cannot be indexed is recorded as a failure, and retried by the next reconcile.

    :raises registry_client.RegistryError: when the registry does not answer.
    """
    tag_sync = TagSync(repository, lenient=True)
    for reference in references:
        try:
            tag_sync.sync_tag(reference, pushed_at=pushed_at, pushed_by=pushed_by)
        except RegistryError as error:
            if is_outage(error):
                raise
            log.warning("%s:%s cannot be indexed: %s", repository, reference, error)
            failures.give_up(Kind.INDEX, repository, reference, sentence=UNREADABLE, detail=str(error))
    tag_sync.refresh_totals()


def reread_image(repository: str) -> None:
    """Sync all tags of one repository, and its image's row.

    A tag that the registry cannot read keeps its row.

    :raises registry_client.RegistryError: when the registry does not answer.
    """
    try:
        present = set(registry().tags(repository))
    except NameUnknown:
        present = set()
    image = find_image(repository)
    known = set(Tag.objects.filter(image=image).values_list("name", flat=True)) if image else set()
    tag_sync = TagSync(repository, lenient=True)
    for tag in sorted(known | present):
        try:
            tag_sync.sync_tag(tag)
        except RegistryError as error:
            if is_outage(error):
                raise
            log.warning("%s:%s cannot be indexed: %s", repository, tag, error)
            failures.give_up(Kind.INDEX, repository, tag, sentence=UNREADABLE, detail=str(error))
        else:
            failures.forget(Kind.INDEX, repository, [tag])
    tag_sync.refresh_totals()
