"""Reading the registry's present answer for one tag or one image, and writing it down.

The index is level-triggered: whatever made somebody look (a notification, early, late or repeated; a reconcile),
what is written is what the registry says now. A row is removed on positive proof alone: the registry says that it has
no such tag, and the list of tags that it gives for the repository does not name it either.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Sequence

from django.db import IntegrityError, transaction

from console.accounts.services import account_ids
from console.audit.services import record
from console.images.deletion import TOMBSTONE_DIGEST, NotThereYet, digest_of
from console.images.models import Image, Tag
from console.images.totals import refresh_totals
from console.indexing import rows, store, together, trail
from console.indexing.rows import Outcome
from console.namespaces.models import Namespace
from console.policy import split_repository
from console.registry import registry
from registry_client import Manifest as RegistryManifest
from registry_client import ManifestUnknown, NameUnknown, UnexpectedAnswer

log = logging.getLogger(__name__)

# A tag that somebody else wrote down while we looked is looked at again.
_MOST_LOOKS = 10


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
            actor = account_ids([pushed_by]).get(pushed_by, pushed_by) or "registry"
            record("image.create", repository, actor=actor, type=image.visibility, by="push")
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

    def look(
        self,
        tag: str,
        *,
        pushed_at: datetime.datetime | None = None,
        pushed_by: str = "",
        told: bool = False,
        digest: str = "",
    ) -> Outcome:
        """Bring one tag's row in line with the registry.

        :param pushed_at: when the push happened that made us look, where there was one.
        :param pushed_by: the user name that pushed.
        :param told: whether it is the registry that told of that push, which it may do before it points the tag.
        :param digest: what it said was pushed.
        :raises console.images.deletion.NotThereYet: when it told just now, and that is not there.
        :raises registry_client.RegistryError: when the registry cannot be asked; nothing is changed then.
        """
        outcome = self._look(tag, pushed_at, pushed_by, digest, told_at=pushed_at if told else None)
        self._changed |= pushed_at is not None or outcome not in {Outcome.SAME, Outcome.IGNORED}
        return outcome

    def look_at_pushed(self, pushes: Sequence[together.Push]) -> set[str]:
        """Bring many tags in line at once, those that name an ordinary image in an image that is there.

        :param pushes: a few, each of another tag: all that the registry answers is held at the same time.
        :return: the tags that were dealt with; the others are for ``look``.
        :raises registry_client.RegistryError: when the registry answers strangely for one of them, or not at all;
            nothing is changed then, and it takes a ``look`` at each to tell which.
        """
        looked = together.look_at_pushed(pushes, registry())
        self._changed |= bool(looked.changed)
        return {tag for _repository, tag in looked.done}

    def _look(
        self,
        tag: str,
        pushed_at: datetime.datetime | None,
        pushed_by: str,
        digest: str,
        told_at: datetime.datetime | None,
    ) -> Outcome:
        not_yet = NotThereYet(f"{self.repository}:{tag} was pushed just now and is not there yet")
        for _ in range(_MOST_LOOKS):
            before = _row(self.repository, tag)
            try:
                present = registry().manifest(self.repository, tag)
            except (ManifestUnknown, NameUnknown):
                if digest_of(self.repository, tag):
                    continue  # it is there after all: the hint would be lost
                if together.may_come(told_at, digest, None):
                    raise not_yet from None
                return self._forget(tag)
            if present.digest != TOMBSTONE_DIGEST and together.may_come(told_at, digest, present.digest):
                raise not_yet
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
            old = Tag.objects.filter(image=image, name=tag).values_list("manifest__digest", flat=True).first()
            outcome = rows.point(tag, manifest, pushed_at, pushed_by)
            if outcome is not Outcome.SAME:
                told = pushed_at is not None
                trail.pointed([trail.Pointed(self.repository, tag, old, manifest.digest, told, pushed_by)])
            return outcome

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
        same = Tag.objects.filter(pk=row.pk, manifest=row.manifest_id, pushed_at=row.pushed_at, state=row.state)
        with transaction.atomic():
            deleted, _by_table = same.delete()
            if deleted:
                trail.pointed([trail.Pointed(self.repository, tag, row.manifest.digest, None)])
        return Outcome.REMOVED if deleted else Outcome.IGNORED


def _row(repository: str, tag: str) -> tuple[object, ...] | None:
    """What tells whether a tag's row was written meanwhile."""
    found = Tag.objects.filter(image__full_name=repository, name=tag)
    return found.values_list("pk", "manifest_id", "pushed_at").first()


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
