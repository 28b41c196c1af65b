"""Reading the registry's present answer for one tag or one image, and writing it down.

The index is level-triggered: whatever made somebody look (a notification, early, late or repeated; a reconcile),
what is written is what the registry says now. A row is removed on positive proof alone: the registry says that it has
no such tag, and the list of tags that it gives for the repository does not name it either.
"""

from __future__ import annotations

import datetime
import enum
import functools
import logging
from collections.abc import Sequence
from typing import Protocol

from django.db import IntegrityError, transaction
from django.utils import timezone

from console.audit.services import record
from console.images.deletion import TOMBSTONE_DIGEST, digest_of, is_of_one_tag
from console.images.models import Image, Manifest, Tag
from console.images.totals import refresh_totals
from console.indexing import reading, store
from console.namespaces.models import Namespace
from console.policy import split_repository
from console.registry import at_once, registry
from registry_client import (
    DOCKER_MANIFEST,
    OCI_MANIFEST,
    MalformedManifest,
    ManifestUnknown,
    NameUnknown,
    RegistryError,
    UnexpectedAnswer,
)
from registry_client import Manifest as RegistryManifest

log = logging.getLogger(__name__)

# A tag that somebody else wrote down while we looked is looked at again.
_MOST_LOOKS = 10
# Hundreds of layers fit in: larger ones are read one by one.
_SMALL_BYTES = 128 * 1024


class Push(Protocol):
    """A push that made somebody look at a tag."""

    tag: str
    pushed_at: datetime.datetime | None
    pushed_by: str


class Outcome(enum.Enum):
    """What a look at a tag came to."""

    SAME = "same"
    ADDED = "added"
    MOVED = "moved"
    REMOVED = "removed"
    IGNORED = "ignored"


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
    try:
        with transaction.atomic():
            image = Image.objects.create(namespace=namespace, name=parts[1])
            record("image.create", repository, actor=pushed_by or "registry", by="push")
    except IntegrityError:
        image = find_image(repository)
    return image


class Reader:
    """Looks at tags of one repository. When all are looked at, ``settle`` brings the image's totals up to date.

    :param repository: ``namespace/name``.
    """

    def __init__(self, repository: str) -> None:
        self.repository = repository
        self._changed = False
        self._listed: set[str] | None = None

    def look(self, tag: str, *, pushed_at: datetime.datetime | None = None, pushed_by: str = "") -> Outcome:
        """Bring one tag's row in line with the registry.

        :param pushed_at: when the push happened that made us look, where there was one.
        :param pushed_by: the user name that pushed.
        :raises registry_client.RegistryError: when the registry cannot be asked; nothing is changed then.
        """
        outcome = self._look(tag, pushed_at, pushed_by)
        self._changed |= pushed_at is not None or outcome not in {Outcome.SAME, Outcome.IGNORED}
        return outcome

    def look_at_pushed(self, pushes: Sequence[Push]) -> set[str]:
        """Bring many tags in line at once, those that name an ordinary image in an image that is there.

        It comes to the same as ``look`` for each of them, with a few statements for all. What is out of the ordinary is
        left out: a list of images, what the registry does not have, a deletion at work, a tag that somebody else wrote
        down meanwhile.

        :param pushes: a few, each of another tag: all that the registry answers is held at the same time.
        :return: the tags that were dealt with; the others are for ``look``.
        :raises registry_client.RegistryError: when the registry answers strangely for one of them, or not at all;
            nothing is changed then, and it takes a ``look`` at each to tell which.
        """
        image = find_image(self.repository)
        if image is None or image.state != Image.State.ACTIVE:
            return set()
        names = [push.tag for push in pushes]
        before = _rows(image, names)
        # The first goes ahead: a registry that lets nobody in, or is down, is not asked for each of them.
        answers = [self._ordinary(names[0]), *at_once(self._ordinary, names[1:])]
        present = {name: answer for name, answer in zip(names, answers, strict=True) if answer is not None}
        manifests = {answer.digest: answer for answer in present.values()}
        known = store.read_before(image, manifests)
        unread = [manifests[digest] for digest in sorted(manifests.keys() - known)]
        read = at_once(functools.partial(store.read_whole, self.repository), unread)
        with transaction.atomic():
            # As in _write_down().
            if not Image.objects.select_for_update(of=("self",)).filter(pk=image.pk, state=Image.State.ACTIVE).exists():
                return set()
            if read:
                store.store(image, [reading for readings in read for reading in readings])
            stored = {row.digest: row for row in Manifest.objects.filter(image=image, digest__in=manifests)}
            now = _rows(image, names)
            done, added, changed = set(), [], False
            for push in pushes:
                answer = present.get(push.tag)
                manifest = stored.get(answer.digest) if answer else None
                if manifest is None or before.get(push.tag) != now.get(push.tag):
                    continue
                outcome = Outcome.ADDED
                if push.tag in now or manifest.doomed:
                    outcome = _point(image, push.tag, manifest, push.pushed_at, push.pushed_by)
                else:
                    added.append(_new(image, push.tag, manifest, push.pushed_at, push.pushed_by))
                changed |= push.pushed_at is not None or outcome is not Outcome.SAME
                done.add(push.tag)
            Tag.objects.bulk_create(added)
        self._changed |= changed
        return done

    def _ordinary(self, tag: str) -> RegistryManifest | None:
        """What the registry says of a tag that names an image; nothing where it says something else."""
        try:
            present = registry().manifest(self.repository, tag)
        except ManifestUnknown:
            return None
        except RegistryError as error:
            if not is_of_one_tag(error):
                raise
            registry().ping()  # raises when it is no matter of this tag
            return None
        ordinary = present.media_type in (DOCKER_MANIFEST, OCI_MANIFEST) and present.digest != TOMBSTONE_DIGEST
        return present if ordinary and _is_small(present) else None

    def _look(self, tag: str, pushed_at: datetime.datetime | None, pushed_by: str) -> Outcome:
        for _ in range(_MOST_LOOKS):
            before = _row(self.repository, tag)
            try:
                present = registry().manifest(self.repository, tag)
            except (ManifestUnknown, NameUnknown):
                if digest_of(self.repository, tag):
                    continue  # it is there after all: the hint would be lost
                return self._forget(tag)
            outcome = self._write_down(tag, present, before, pushed_at, pushed_by)
            if outcome is not None:
                return outcome
        raise UnexpectedAnswer(f"{tag} changes faster than it can be read")

    def _write_down(
        self,
        tag: str,
        present: RegistryManifest,
        before: tuple[object, ...] | None,
        pushed_at: datetime.datetime | None,
        pushed_by: str,
    ) -> Outcome | None:
        """Let the index say what the registry said; nothing when somebody else has looked at the tag meanwhile.

        :param before: the tag's row before the registry was asked.
        """
        if present.digest == TOMBSTONE_DIGEST:
            return Outcome.IGNORED  # a deletion is at work on it, and will look again when it has ended
        image = image_for_push(self.repository, pushed_by)
        if image is None:
            log.warning("%s:%s is in the registry, but nobody owns its namespace", self.repository, tag)
            return Outcome.IGNORED
        if image.state == Image.State.DELETING:
            return Outcome.IGNORED
        readings = [] if store.is_read(image, present.digest) else store.read_whole(self.repository, present)
        with transaction.atomic():
            # The row's lock keeps a deletion that starts meanwhile from losing sight of this tag.
            if not Image.objects.select_for_update(of=("self",)).filter(pk=image.pk, state=Image.State.ACTIVE).exists():
                return Outcome.IGNORED
            if _row(self.repository, tag) != before:
                return None  # what the registry told us may be older than what the other was told
            manifest = store.store(image, readings) if readings else store.is_read(image, present.digest)
            if manifest is None:
                # The row went between the look and the lock, with a deletion of tags.
                manifest = store.store(image, store.read_whole(self.repository, present))
            return _point(image, tag, manifest, pushed_at, pushed_by)

    def missing(self, tag: str) -> bool:
        """Whether it is proven that the repository has no such tag, which the registry just said of its manifest.

        A registry that does not know the repository at all proves nothing: it may be another one, or an empty disk.
        """
        if self._listed is None:
            try:
                self._listed = set(registry().tags(self.repository))
            except NameUnknown:
                return False
        return tag not in self._listed

    def settle(self) -> bool:
        """Count the image's totals anew; whether they were other than they should be."""
        image = find_image(self.repository)
        return image is not None and refresh_totals(image.pk, changed=self._changed)

    def _forget(self, tag: str) -> Outcome:
        image = find_image(self.repository)
        if image is None or image.state == Image.State.DELETING:
            return Outcome.IGNORED
        row = Tag.objects.filter(image=image, name=tag).first()
        if row is None:
            return Outcome.SAME
        if not self.missing(tag):
            log.warning("%s:%s cannot be read, but is not proven to be gone: its row stays", self.repository, tag)
            return Outcome.IGNORED
        # Pushed again since the first answer: before this look the registry tells, after it the row is another one.
        if digest_of(self.repository, tag):
            return Outcome.IGNORED
        same = Tag.objects.filter(pk=row.pk, manifest=row.manifest_id, pushed_at=row.pushed_at)
        deleted, _by_table = same.delete()
        return Outcome.REMOVED if deleted else Outcome.IGNORED


def _is_small(manifest: RegistryManifest) -> bool:
    """Whether a manifest and its configuration are of a size that many may be held of."""
    try:
        config = manifest.config
    except MalformedManifest:
        return False
    return len(manifest.content) <= _SMALL_BYTES and (config is None or config.size <= _SMALL_BYTES)


def _rows(image: Image, names: Sequence[str]) -> dict[str, tuple[object, ...]]:
    """The same as ``_row`` for many tags, by name; none for those that have no row."""
    rows = Tag.objects.filter(image=image, name__in=names).values_list("name", "pk", "manifest_id", "pushed_at")
    return {name: tuple(rest) for name, *rest in rows}


def _row(repository: str, tag: str) -> tuple[object, ...] | None:
    """What tells whether a tag's row was written meanwhile."""
    rows = Tag.objects.filter(image__full_name=repository, name=tag)
    return rows.values_list("pk", "manifest_id", "pushed_at").first()


def _new(image: Image, name: str, manifest: Manifest, pushed_at: datetime.datetime | None, pushed_by: str) -> Tag:
    """A row for a tag that has none."""
    subject = reading.subject_of_tag(name) or manifest.subject
    moment = pushed_at or timezone.now()
    return Tag(image=image, name=name, manifest=manifest, subject=subject, pushed_at=moment, pushed_by=pushed_by)


def _point(image: Image, name: str, manifest: Manifest, pushed_at: datetime.datetime | None, pushed_by: str) -> Outcome:
    """Let the tag's row point at ``manifest``."""
    subject = reading.subject_of_tag(name) or manifest.subject
    if manifest.doomed:
        Manifest.objects.filter(pk=manifest.pk).update(doomed=False)
    row = Tag.objects.filter(image=image, name=name).first()
    if row is None:
        _new(image, name, manifest, pushed_at, pushed_by).save()
        return Outcome.ADDED
    moved = row.manifest_id != manifest.pk
    before = (row.pushed_at, row.pushed_by, row.subject, row.missing_at)
    if moved or (pushed_at is not None and pushed_at > row.pushed_at):
        row.pushed_at, row.pushed_by = pushed_at or timezone.now(), pushed_by
    # The same image pushed again after somebody asked to delete the tag: the later wish counts.
    wanted = bool(pushed_at and row.deleting_since and pushed_at > row.deleting_since)
    if moved or wanted:
        row.manifest, row.state, row.problem = manifest, Tag.State.ACTIVE, ""
    row.subject, row.missing_at = subject, None
    if moved or wanted or before != (row.pushed_at, row.pushed_by, row.subject, row.missing_at):
        row.save()
    return Outcome.MOVED if moved else Outcome.SAME


def reread_image(repository: str) -> None:
    """Bring all tags of one repository in line with the registry, its image's row included.

    :raises registry_client.RegistryError: when the registry cannot be asked.
    """
    try:
        present = set(registry().tags(repository))
    except NameUnknown:
        present = set()
    image = find_image(repository)
    known = set(Tag.objects.filter(image=image).values_list("name", flat=True)) if image else set()
    reader = Reader(repository)
    for tag in sorted(known | present):
        reader.look(tag)
    reader.settle()
