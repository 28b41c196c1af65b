"""Deleting all tags of an image, in an order that a failure half-way cannot spoil.

Deleting a manifest by its digest reads every tag of the repository, and takes each tag that points at it along. So:

1. **Listing.** Each tag's digest is written down (``DoomedManifest``), with the children of indexes, whatever the index
   knows to be untagged, and what was pushed and never indexed, before anything is touched.
2. **Tags.** Some hundred tags at a time are looked at once more and pointed at one tiny manifest, the tombstone, and
   its digest is deleted: one reading of the tags for all of these, and no call longer than a client waits.
3. **Manifests.** The digests written down, which no tag names any more, are deleted one by one, with the links to
   their blobs.

Every step can be done again: a job that was killed goes on where it was. Something pushed meanwhile (by a token from
before the deletion) starts another round, so that the image's row goes only when the registry lists no tag and has told
of nothing more. The work can be done in several turns, so that a large image does not keep the others waiting.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from console.audit.services import record
from console.namespaces.models import Namespace
from console.registry.connection import at_once
from console.registry.contents import (
    PARTS_AT_ONCE,
    TOMBSTONE_DIGEST,
    Parts,
    is_tombstone,
    mend,
    parts_of_each,
    point_at_tombstone,
    readable_digest,
    remove_tombstone,
    require_deletes,
    tags_of,
)
from console.registry.removal import Removal, batches, pieces
from console.repositories import failures, pushed_digests
from console.repositories.models import DoomedManifest, Image, ImageDeletion, Manifest, PushedDigest, Tag

log = logging.getLogger(__name__)

_BATCH = 100
_LISTED_AT_ONCE = 500
# The registry removes the tags of a digest one after another before it answers: these take it a second or two.
BURIED_AT_ONCE = 500
_MOST_ROUNDS = 20
# What manifests of these kinds name, the registry is asked.
_NOT_UNDERSTOOD = (Manifest.Kind.UNREAD, Manifest.Kind.OTHER)


class StillBusy(Exception):
    """Tags keep arriving: the deletion goes on a little later."""


class TurnOver(Exception):
    """The work had its turn and is not finished: calling again goes on from there."""


def never() -> bool:
    """For work that may take as long as it takes."""
    return False


def delete_everything(image: Image, turn_over: Callable[[], bool] = never) -> None:
    """Take the image through the three phases until nothing is left, then remove its row.

    :param turn_over: asked now and then whether it is somebody else's turn.
    :raises registry_client.RegistryError: when the registry fails; calling again goes on from there.
    :raises StillBusy: when tags were pushed faster than they could be removed.
    :raises TurnOver: when it is somebody else's turn.
    """
    deletion = image.deletion
    repository = image.repository
    # What was listed to the end before is not listed again; a tag that came since is found after the phases.
    listed = deletion.phase in {ImageDeletion.Phase.TAGS, ImageDeletion.Phase.MANIFESTS}
    for _ in range(_MOST_ROUNDS):
        if not listed:
            _list(deletion, repository)
        _point_tags_at_tombstone(deletion, repository, turn_over)
        _remove_manifests(deletion, repository, turn_over)
        if not tags_of(repository) and not PushedDigest.objects.filter(repository=repository).exists():
            _finish(image)
            return
        listed = False
    raise StillBusy(repository)


def _phase(deletion: ImageDeletion, phase: ImageDeletion.Phase) -> None:
    """Write down where the work is; the totals are counted from what was written down before, and never go back."""
    doomed = deletion.doomed
    deletion.phase = phase
    deletion.problem = ""
    deletion.total = doomed.exclude(tag="").count() + doomed.values("digest").distinct().count()
    done = (
        doomed.exclude(tag="").filter(buried=True).count()
        + doomed.filter(removed=True).values("digest").distinct().count()
    )
    # What came back is to be done once more; nobody wants to see that.
    deletion.done = min(deletion.total, max(deletion.done, done))
    deletion.save(update_fields=["phase", "problem", "total", "done"])


def _advance(deletion: ImageDeletion, steps: int) -> None:
    ImageDeletion.objects.filter(pk=deletion.pk, done__lte=F("total") - steps).update(done=F("done") + steps)


# --- 1. listing -----------------------------------------------------------------------------------------------------


def _list(deletion: ImageDeletion, repository: str) -> None:
    _phase(deletion, ImageDeletion.Phase.LISTING)
    tags = tags_of(repository)
    # An image that was never pushed to needs no registry that deletes.
    if tags or _is_known_to_hold_manifests(deletion.image):
        require_deletes(repository)
    for batch in batches(tags, _LISTED_AT_ONCE):
        # What the index says is taken for now: each tag is asked for once more before it is buried.
        known_tags = Tag.objects.filter(image=deletion.image, name__in=batch)
        indexed = dict(known_tags.values_list("name", "manifest__digest"))
        unknown = [tag for tag in batch if tag not in indexed]
        found = dict(zip(unknown, at_once(lambda tag: readable_digest(repository, tag), unknown), strict=True))
        # A tag at the tombstone, or at nothing that is there, goes with the tombstone: perhaps it was written down in
        # an earlier round, perhaps a deletion of tags was broken off.
        lost = {tag for tag, digest in found.items() if not digest or is_tombstone(digest)}
        known = set(deletion.doomed.filter(tag__in=lost, buried=True).values_list("tag", flat=True))
        _write_down(
            deletion,
            [
                DoomedManifest(
                    deletion=deletion,
                    tag=tag,
                    digest=TOMBSTONE_DIGEST if tag in lost else found.get(tag) or indexed[tag],
                )
                for tag in batch
                if tag not in known
            ],
        )
    written = DoomedManifest.objects.filter(deletion=deletion, digest=OuterRef("digest"))
    untagged = Manifest.objects.filter(~Exists(written), image=deletion.image).values_list("digest", flat=True)
    for digests in batches(untagged.iterator(), _LISTED_AT_ONCE):
        _write_down(deletion, [DoomedManifest(deletion=deletion, digest=digest) for digest in digests])
    _write_down_pushed(deletion, repository)
    _write_down_children(deletion, repository)


def _is_known_to_hold_manifests(image: Image) -> bool:
    return (
        Manifest.objects.filter(image=image).exists()
        or PushedDigest.objects.filter(repository=image.repository).exists()
    )


def _write_down_pushed(deletion: ImageDeletion, repository: str) -> None:
    """Add what was pushed, by its digest alone or under a tag that has moved on, whether the index knows it or not."""
    while True:
        with transaction.atomic():
            digests = pushed_digests.take(repository, _LISTED_AT_ONCE)
            _write_down(deletion, [DoomedManifest(deletion=deletion, digest=digest) for digest in digests])
        if not digests:
            return


def _write_down(deletion: ImageDeletion, rows: list[DoomedManifest]) -> None:
    """Insert the rows; a tag that came back is to be buried, and a digest that came back to be removed, once more."""
    distinct = {(row.tag, row.digest): row for row in rows}  # an index may name one child for several platforms
    with transaction.atomic():
        DoomedManifest.objects.bulk_create(
            distinct.values(),
            update_conflicts=True,
            unique_fields=["deletion", "tag", "digest"],
            update_fields=["buried", "removed"],
        )


# As ``_write_down`` does, of what the index knows.
_WRITE_DOWN_CHILDREN = """
INSERT INTO images_doomedmanifest (deletion_id, tag, digest, buried, removed)
SELECT DISTINCT %s::bigint, '', child ->> 'digest', false, false
FROM images_manifest AS parent CROSS JOIN jsonb_array_elements(parent.children) AS child
WHERE parent.image_id = %s AND parent.digest = ANY (%s)
ON CONFLICT (deletion_id, tag, digest) DO UPDATE SET buried = excluded.buried, removed = excluded.removed
"""


def _write_down_children(deletion: ImageDeletion, repository: str) -> None:
    """Add the manifests that doomed indexes name, and those that these name in turn."""
    seen: set[str] = set()
    digests = deletion.doomed.filter(removed=False).values_list("digest", flat=True).distinct()
    is_fresh = True
    while is_fresh:
        is_fresh = False
        for batch in batches((digest for digest in digests.iterator() if digest not in seen), _BATCH):
            is_fresh = True
            seen.update(batch)
            understood = Manifest.objects.filter(image=deletion.image, digest__in=batch)
            indexed = set(understood.exclude(kind__in=_NOT_UNDERSTOOD).values_list("digest", flat=True))
            with connection.cursor() as cursor:
                cursor.execute(_WRITE_DOWN_CHILDREN, [deletion.pk, deletion.image_id, list(indexed)])
            for _digest, parts in parts_of_each(repository, [one for one in batch if one not in indexed]):
                for some in batches(sorted(parts.named), _LISTED_AT_ONCE):
                    _write_down(deletion, [DoomedManifest(deletion=deletion, digest=child) for child in some])


# --- 2. tags --------------------------------------------------------------------------------------------------------


def _point_tags_at_tombstone(deletion: ImageDeletion, repository: str, turn_over: Callable[[], bool]) -> None:
    _phase(deletion, ImageDeletion.Phase.TAGS)
    waiting = 0
    for batch in batches(deletion.doomed.exclude(tag="").filter(buried=False).order_by("tag").iterator(), _BATCH):
        _write_down_moved(deletion, repository, batch)
        at_once(lambda row: point_at_tombstone(repository, row.tag), batch)
        with transaction.atomic():
            DoomedManifest.objects.filter(pk__in=[row.pk for row in batch]).update(buried=True)
            _advance(deletion, len(batch))
        waiting += len(batch)
        if waiting >= BURIED_AT_ONCE:
            remove_tombstone(repository)
            waiting = 0
        if turn_over():
            raise TurnOver
    # Also where none waits now: a run that ended before this may have left some.
    if deletion.doomed.exists():
        remove_tombstone(repository)


def _write_down_moved(deletion: ImageDeletion, repository: str, batch: list[DoomedManifest]) -> None:
    """Write down what was pushed under these tags since they were listed: once buried, nothing names it any more."""
    found = at_once(lambda row: readable_digest(repository, row.tag), batch)
    moved = {
        row.tag: digest
        for row, digest in zip(batch, found, strict=True)
        if digest and digest != row.digest and not is_tombstone(digest)
    }
    if moved:
        rows = [DoomedManifest(deletion=deletion, tag=tag, digest=digest) for tag, digest in moved.items()]
        _write_down(deletion, rows)
        _write_down_children(deletion, repository)


# --- 3. manifests ---------------------------------------------------------------------------------------------------


def _remove_manifests(deletion: ImageDeletion, repository: str, turn_over: Callable[[], bool]) -> None:
    _phase(deletion, ImageDeletion.Phase.MANIFESTS)
    removal = Removal(repository)
    rows = deletion.doomed.filter(removed=False).order_by("digest").distinct("digest")
    digests = rows.values_list("digest", flat=True).iterator()
    for piece in pieces(_parts_of_each(deletion, repository, digests)):
        mend(repository, _understood(deletion, piece).values_list("digest", flat=True))
        removal.remove(piece, (blob for parts in piece.values() for blob in parts.blobs))
        with transaction.atomic():
            deletion.doomed.filter(digest__in=piece.keys()).update(removed=True)
            _advance(deletion, len(piece))
        if turn_over():
            raise TurnOver


def _parts_of_each(deletion: ImageDeletion, repository: str, digests: Iterable[str]) -> Iterator[tuple[str, Parts]]:
    """What hangs on each of these: the blobs that the index knows, or what the registry has."""
    for some in batches(digests, PARTS_AT_ONCE):
        known = dict(_understood(deletion, some).values_list("digest", "blobs"))
        yield from ((digest, Parts(blobs=tuple(blobs))) for digest, blobs in known.items())
        yield from parts_of_each(repository, [digest for digest in some if digest not in known])


def _understood(deletion: ImageDeletion, digests: Iterable[str]) -> QuerySet[Manifest]:
    known = Manifest.objects.filter(image=deletion.image, digest__in=list(digests))
    return known.exclude(kind__in=_NOT_UNDERSTOOD)


def _finish(image: Image) -> None:
    """Remove the image's row and all that hangs on it."""
    with transaction.atomic():
        # The namespace first, as everybody locks it who makes an image or moves it to another owner.
        Namespace.objects.filter(pk=image.namespace_id).update(changed_at=timezone.now())
        locked = Image.objects.select_for_update(of=("self",)).select_related("namespace").get(pk=image.pk)
        # Row by row through the ORM would read ten thousand tags to forget them.
        for model in (
            DoomedManifest.objects.filter(deletion__image=locked),
            Tag.objects.filter(image=locked),
            Manifest.objects.filter(image=locked),
        ):
            model._raw_delete(model.db)
        asked = ImageDeletion.objects.filter(image=locked).values_list("requested_by", flat=True).first()
        record("image.deleted", locked.repository, actor=asked)
        failures.forget_repository(locked.repository)
        locked.delete()
