"""Sync one tag or one image: read the registry's present answer and write it to the index.

The index is level-triggered: whatever made somebody look (a notification, early, late or repeated; a reconcile),
what is written is what the registry says now. A row is removed on positive proof alone: the registry says that it has
no such tag, and the list of tags that it gives for the repository does not name it either.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

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
from console.registry.tombstone import TOMBSTONE_DIGEST
from console.repositories import failures, pushed_digests
from console.repositories.failures import Kind
from console.repositories.locks import image_locked
from console.repositories.models import Image, Manifest, Tag
from console.repositories.totals import refresh_totals
from registry_client import ManifestUnknown, NameUnknown, RegistryError, UnexpectedAnswer, is_digest

log = logging.getLogger(__name__)

# A tag that somebody else wrote down while we looked is looked at again.
_MOST_TRIES = 10
# How many digests that were pushed before the image existed are queued again at a time.
_MOST_PUSHED = 1000
# What the pages say of a tag that cannot be indexed.
UNREADABLE = "The registry has this tag, but cannot read it. Push it again, or delete the image."


def find_image(repository: str) -> Image | None:
    """The image with this repository's name, or ``None``."""
    parts = split_repository(repository)
    if parts is None:
        return None
    return Image.objects.select_related("namespace").filter(namespace__name=parts[0], name=parts[1]).first()


def image_for_push(repository: str, pushed_by: str) -> Image | None:
    """The image of a repository that holds something, made when its owner pushed to a name that nobody created."""
    image = find_image(repository)
    parts = split_repository(repository)
    if image is not None or parts is None:
        return image
    namespace = Namespace.objects.filter(name=parts[0]).first()
    if namespace is None:
        return None
    image = Image(namespace=namespace, name=parts[1])
    with transaction.atomic():
        # Locked, so that it is still there when this is committed.
        if not Namespace.objects.select_for_update(no_key=True).filter(pk=namespace.pk) or not insert(image):
            return find_image(repository)
        _requeue_pushed(image)
        actor = account_ids([pushed_by]).get(pushed_by, pushed_by) or "registry"
        record("image.create", repository, actor=actor, type=image.visibility, by="push")
    return image


def _requeue_pushed(image: Image) -> None:
    """Ask for another look at what was pushed by its digest before there was an image: it may be about one."""
    rows = [
        Hint(repository=image.repository, tag=one.digest, pushed_at=one.told_at, digest=one.digest)
        for one in pushed_digests.unindexed(image)[:_MOST_PUSHED]
    ]
    Hint.objects.bulk_create(rows, ignore_conflicts=True)


@dataclass
class _TagPush:
    """A tag that is synced, and the push that it is synced for, where there was one."""

    repository: str
    tag: str
    pushed_at: datetime.datetime | None
    pushed_by: str


class TagSync:
    """Syncs tags of one repository, one at a time. At the end, ``refresh_totals`` updates the image's totals.

    :param repository: ``namespace/name``.
    :param lenient: whether a part of an image that the registry answers with an error of its own for is left out;
        otherwise the tag is to be looked at again.
    """

    def __init__(self, repository: str, *, lenient: bool = False) -> None:
        self.repository = repository
        self.lenient = lenient
        self._changed = False
        self._listed: set[str] | None = None
        # Many tags may name one index of which something is missing: it is read for one of them.
        self._read: set[str] = set()

    def sync_tag(
        self,
        tag: str,
        *,
        pushed_at: datetime.datetime | None = None,
        pushed_by: str = "",
        told: bool = False,
        digest: str = "",
    ) -> Outcome:
        """Bring one tag's row in line with the registry, or that of a manifest by its digest.

        :param pushed_at: when the push happened that made us look, where there was one.
        :param pushed_by: the user name that pushed.
        :param told: whether it is the registry that told of that push, which it may do before it points the tag.
        :param digest: what it said was pushed.
        :raises console.registry.contents.NotThereYet: when it told just now, and that is not there.
        :raises registry_client.RegistryError: when the registry cannot be asked; nothing is changed then.
        """
        if is_digest(tag):
            outcome = self._sync_digest(tag, pushed_at)
            pushed_at = None  # nothing that pages show has changed by it alone
        else:
            outcome = self._sync_tag(tag, pushed_at, pushed_by, digest, told_at=pushed_at if told else None)
        self._changed |= pushed_at is not None or outcome not in {Outcome.SAME, Outcome.IGNORED}
        return outcome

    def sync_pushed(self, pushes: Sequence[sync_batch.Push]) -> set[str]:
        """Sync a batch of tags: those that name an ordinary image in an image that is there.

        :param pushes: a few, each of another tag: all that the registry answers is held at the same time.
        :return: the tags that were dealt with; the others are for ``sync_tag``.
        :raises registry_client.RegistryError: when the registry answers strangely for one of them, or not at all;
            nothing is changed then, and it takes a ``sync_tag`` at each to tell which.
        """
        looked = sync_batch.sync_pushed(pushes, registry())
        self._changed |= bool(looked.changed)
        return {tag for _repository, tag in looked.done}

    def _sync_tag(
        self,
        tag: str,
        pushed_at: datetime.datetime | None,
        pushed_by: str,
        digest: str,
        told_at: datetime.datetime | None,
    ) -> Outcome:
        not_yet = NotThereYet(f"{self.repository}:{tag} was pushed just now and is not there yet")
        for _ in range(_MOST_TRIES):
            push = _TagPush(self.repository, tag, pushed_at, pushed_by)
            before = write_tags.read_rows([push]).get((self.repository, tag))
            try:
                present = registry().resolve(self.repository, tag)
            except (ManifestUnknown, NameUnknown):
                if digest_of(self.repository, tag):
                    continue  # it is there after all: the hint would be lost
                if sync_batch.may_come(told_at, digest, None):
                    raise not_yet from None
                return self._forget(tag)
            if present.digest != TOMBSTONE_DIGEST and sync_batch.may_come(told_at, digest, present.digest):
                raise not_yet
            try:
                outcome = self._write(push, present.digest, before, digest)
            except (ManifestUnknown, NameUnknown):
                continue  # it was there a moment ago
            except tag_rows.NotActive:
                return Outcome.IGNORED
            if outcome is not None:
                return outcome
        raise UnexpectedAnswer(f"{tag} changes faster than it can be read")

    def _write(self, push: _TagPush, present: str, before: write_tags.TagRow | None, pushed: str) -> Outcome | None:
        """Let the index say what the registry said; nothing when somebody else has written the tag meanwhile.

        :param present: the digest that the tag names.
        :param before: the tag's row before the registry was asked.
        :param pushed: the digest that the notification of the push named.
        :raises registry_client.ManifestUnknown: when the registry no longer has it.
        """
        tag, pushed_at = push.tag, push.pushed_at
        began = _transfer_began(self.repository)
        if began is not None and not (pushed_at is not None and pushed_at <= began and present == pushed):
            return Outcome.IGNORED  # an old token's push, which is taken back when the namespace changes hands
        if present == TOMBSTONE_DIGEST:
            return self._forget_buried(tag)
        image = image_for_push(self.repository, push.pushed_by)
        if image is None:
            log.warning("%s:%s is in the registry, but nobody owns its namespace", self.repository, tag)
            return Outcome.IGNORED
        if image.state == Image.State.DELETING:
            return Outcome.IGNORED
        known = present in self._read or store.is_read(image, present)
        readings = [] if known else self._read_whole(image, present)
        answer = write_tags.Answer(push, image.pk, present, before)
        written = write_tags.write([answer], [(image.pk, reading) for reading in readings])
        key = write_tags.key_of(push)
        if key in written.lost:
            self._read.discard(present)  # it went between the answer and the lock, with a deletion of tags
            return None
        self._read.add(present)
        return Outcome.IGNORED if key in written.inactive else written.outcomes.get(key)

    def _read_whole(self, image: Image, digest: str) -> list[Reading]:
        """Read a manifest with all below it and store it, but for a last part that is left to the caller."""

        def keep(readings: list[Reading]) -> None:
            with transaction.atomic():
                tag_rows.lock_active(image)
                store.store_all((image.pk, one) for one in readings)

        return tree.read_whole(image, digest, keep, lenient=self.lenient)

    def missing(self, tag: str) -> bool:
        """Whether it is proven that the repository has no such tag, which the registry just said of its manifest.

        A registry that does not know the repository at all proves nothing: it may be another one, or an empty disk.
        """
        return self._is_known() and tag not in (self._listed or ())

    def _is_known(self) -> bool:
        """Whether the registry knows the repository; its tags are listed then."""
        if self._listed is None:
            with suppress(NameUnknown):
                self._listed = set(registry().tags(self.repository))
        return self._listed is not None

    def refresh_totals(self) -> bool:
        """Count the image's totals anew; whether they were other than they should be."""
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
            return Outcome.IGNORED  # a deletion is at work on it: the row says which digest is to go, too
        if not self.missing(tag):
            log.warning("%s:%s cannot be read, but is not proven to be gone: its row stays", self.repository, tag)
            return Outcome.IGNORED
        # Pushed again since the first answer: before this look the registry tells, after it the row is another one.
        if digest_of(self.repository, tag):
            return Outcome.IGNORED
        return self._remove(row)

    def _remove(self, row: Tag) -> Outcome:
        """Remove a tag's row, unless somebody has written it meanwhile."""
        same = Tag.objects.filter(pk=row.pk, manifest=row.manifest_id, pushed_at=row.pushed_at, state=row.state)
        with transaction.atomic():
            deleted, _by_table = same.filter(image__state=Image.State.ACTIVE).delete()
            if deleted:
                audit_events.record_moves([audit_events.TagMove(self.repository, row.name, row.manifest.digest, None)])
        return Outcome.REMOVED if deleted else Outcome.IGNORED

    def _forget_buried(self, tag: str) -> Outcome:
        """Remove the row of a tag that names the tombstone, unless a deletion is at work on it.

        Such tags are left where a deletion was given up half-way.
        """
        rows = Tag.objects.filter(image__full_name=self.repository, name=tag, state=Tag.State.ACTIVE)
        row = rows.filter(image__state=Image.State.ACTIVE).select_related("manifest").first()
        # It may have been pushed, and looked at, since the first answer.
        if row is None or digest_of(self.repository, tag) != TOMBSTONE_DIGEST:
            return Outcome.IGNORED
        return self._remove(row)

    # --- manifests by their digests ---------------------------------------------------------------------------------

    def _sync_digest(self, digest: str, pushed_at: datetime.datetime | None) -> Outcome:
        """Bring the row of a manifest in line with the registry that was pushed or deleted by its digest.

        A manifest without a tag gets a row when it names a subject (OCI image specification, "Image Manifest"), which
        pages show it with; others have one while an index names them.
        """
        image = find_image(self.repository)
        if image is None or image.state != Image.State.ACTIVE or image.namespace.in_transfer:
            return Outcome.IGNORED
        row = Manifest.objects.filter(image=image, digest=digest).first()
        if row is None and pushed_at is None:
            return Outcome.SAME  # deleted, and not in the index
        if row is not None and pushed_at is not None:
            # Of a manifest being deleted, the later wish counts, as for tags (``tag_rows.point_tag``). Where the time
            # of the deletion is not known, the push counts: what stays too long can be deleted again.
            earlier = Q(doomed_at=None) | Q(doomed_at__lt=pushed_at)
            Manifest.objects.filter(earlier, pk=row.pk, doomed=True).update(doomed=False)
        if row is not None:
            # Also after a push: a hint is one for a push and a deletion that came together, and says the push alone.
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
        """Remove the row of a manifest that a client has deleted, after asking the registry.

        Deleting a digest takes its tags along: each is looked at here, too. Indexes that name it are read anew.
        """
        if not self._is_known() or digest_of(self.repository, row.digest):
            return Outcome.IGNORED
        for name in list(row.tags.values_list("name", flat=True)):
            self._sync_tag(name, None, "", "", told_at=None)
        with image_locked(image.pk):
            deleted, _by_table = Manifest.objects.filter(pk=row.pk, tags=None).delete()
            store.clear_child_flags(image)
        if not deleted:
            return Outcome.IGNORED
        self._read.clear()
        for name in store.tags_naming(image, row.digest):
            self._sync_tag(name, None, "", "", told_at=None)
        return Outcome.REMOVED


def _transfer_began(repository: str) -> datetime.datetime | None:
    """When the repository's namespace began to change hands; ``None`` when it does not."""
    namespace = Namespace.objects.filter(name=repository.partition("/")[0], available_at__isnull=False).first()
    return namespace.transfer_began if namespace else None


def index_own(repository: str, references: Iterable[str], pushed_at: datetime.datetime, pushed_by: str) -> None:
    """Index what the console itself has put under these tags and digests, which no notification leads to.

    What cannot be indexed is recorded, and looked at by the next reconcile.

    :raises registry_client.RegistryError: when the registry does not answer.
    """
    reader = TagSync(repository, lenient=True)
    for reference in references:
        try:
            reader.sync_tag(reference, pushed_at=pushed_at, pushed_by=pushed_by)
        except RegistryError as error:
            if is_outage(error):
                raise
            log.warning("%s:%s cannot be indexed: %s", repository, reference, error)
            failures.give_up(Kind.INDEX, repository, reference, sentence=UNREADABLE, detail=str(error))
    reader.refresh_totals()


def reread_image(repository: str) -> None:
    """Bring all tags of one repository in line with the registry, its image's row included.

    A tag that the registry cannot read, although it answers, keeps its row.

    :raises registry_client.RegistryError: when the registry cannot be asked.
    """
    try:
        present = set(registry().tags(repository))
    except NameUnknown:
        present = set()
    image = find_image(repository)
    known = set(Tag.objects.filter(image=image).values_list("name", flat=True)) if image else set()
    reader = TagSync(repository, lenient=True)
    for tag in sorted(known | present):
        try:
            reader.sync_tag(tag)
        except RegistryError as error:
            if is_outage(error):
                raise
            log.warning("%s:%s cannot be indexed: %s", repository, tag, error)
            failures.give_up(Kind.INDEX, repository, tag, sentence=UNREADABLE, detail=str(error))
        else:
            failures.forget(Kind.INDEX, repository, [tag])
    reader.refresh_totals()
