"""Delete all tags of an image, in several turns if it is large.

1. **Listing.** The digest of each tag is stored (``DoomedManifest``) before anything changes, with the children of
   indexes, untagged manifests that the index knows, and pushed digests that are not in the index.
2. **Tags.** A hundred tags at a time are read again and pointed at the tombstone; one removal of it takes some hundred
   tags along, and no call takes longer than a client waits.
3. **Manifests.** The stored digests, which no tag names any more, are removed with the links to their blobs.

Every step is idempotent: a killed job resumes. A push in the meantime (with a token from before the deletion) starts
another round: the image's row is deleted only when the registry lists no tag and no new push was notified.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from console.audit.services import record
from console.namespaces.models import Namespace
from console.registry.contents import tags_of
from console.registry.deletion.named import blobs_of_each, parts_of_each, understood
from console.registry.deletion.removal import Removal, pieces, repair_manifests
from console.registry.deletion.steps import (
    StillBusy,
    Untagging,
    batches,
    moved_tags,
    never,
    raise_if_over,
    read_tags,
)
from console.registry.tombstone import TOMBSTONE_DIGEST, is_tombstone, require_deletes
from console.repositories import failures, pushed_digests
from console.repositories.models import DoomedManifest, Image, ImageDeletion, Manifest, PushedDigest, Tag

_BATCH = 100
_LISTED_AT_ONCE = 500
_MOST_ROUNDS = 20


def run_image_deletion(image: Image, turn_over: Callable[[], bool] = never) -> None:
    """Repeat the three phases until nothing is left, then delete the image's row.

    :param image: with its deletion and namespace.
    :param turn_over: whether the turn (time slice) is over; asked after each batch.
    :raises registry_client.RegistryError: when the registry fails; calling again resumes.
    :raises StillBusy: when tags are pushed faster than they can be removed.
    :raises TurnOver: when the turn is over; calling again resumes.
    """
    deletion = image.deletion
    repository = image.repository
    # A finished list is not made again when the job resumes; a tag pushed since is found after the phases.
    listed = deletion.phase in {ImageDeletion.Phase.TAGS, ImageDeletion.Phase.MANIFESTS}
    for _ in range(_MOST_ROUNDS):
        if not listed:
            _list(deletion, repository)
        _untag(deletion, repository, turn_over)
        _remove_manifests(deletion, repository, turn_over)
        if not tags_of(repository) and not PushedDigest.objects.filter(repository=repository).exists():
            _finish(image)
            return
        listed = False
    raise StillBusy(repository)


def _start_phase(deletion: ImageDeletion, phase: ImageDeletion.Phase) -> None:
    """Store the phase and the progress, which is counted from the stored rows and never goes back."""
    doomed = deletion.doomed
    deletion.phase = phase
    deletion.problem = ""
    deletion.total = doomed.exclude(tag="").count() + doomed.values("digest").distinct().count()
    done = (
        doomed.exclude(tag="").filter(untagged=True).count()
        + doomed.filter(removed=True).values("digest").distinct().count()
    )
    # Tags that were pushed again are untagged again, without showing less progress than before.
    deletion.done = min(deletion.total, max(deletion.done, done))
    deletion.save(update_fields=["phase", "problem", "total", "done"])


def _advance(deletion: ImageDeletion, steps: int) -> None:
    ImageDeletion.objects.filter(pk=deletion.pk, done__lte=F("total") - steps).update(done=F("done") + steps)


# --- 1. listing -----------------------------------------------------------------------------------------------------


def _list(deletion: ImageDeletion, repository: str) -> None:
    _start_phase(deletion, ImageDeletion.Phase.LISTING)
    tags = tags_of(repository)
    # An image that was never pushed to needs no registry that deletes.
    if tags or _is_known_to_hold_manifests(deletion.image):
        require_deletes(repository)
    for batch in batches(tags, _LISTED_AT_ONCE):
        # The index is good enough here: each tag is read again before it is untagged.
        known_tags = Tag.objects.filter(image=deletion.image, name__in=batch)
        indexed = dict(known_tags.values_list("name", "manifest__digest"))
        unknown = [tag for tag in batch if tag not in indexed]
        found = read_tags(repository, unknown)
        # A tag that points at the tombstone, or at nothing, is removed with the tombstone: an earlier round may have
        # stored its manifest, or a deletion of tags was interrupted.
        lost = {tag for tag, digest in found.items() if not digest or is_tombstone(digest)}
        known = set(deletion.doomed.filter(tag__in=lost, untagged=True).values_list("tag", flat=True))
        _store(
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
        _store(deletion, [DoomedManifest(deletion=deletion, digest=digest) for digest in digests])
    _list_pushed(deletion, repository)
    _list_children(deletion, repository)


def _is_known_to_hold_manifests(image: Image) -> bool:
    return (
        Manifest.objects.filter(image=image).exists()
        or PushedDigest.objects.filter(repository=image.repository).exists()
    )


def _list_pushed(deletion: ImageDeletion, repository: str) -> None:
    """Add pushed digests that no tag names: pushed by digest, or under a tag that was pushed again since."""
    while True:
        with transaction.atomic():
            digests = pushed_digests.take(repository, _LISTED_AT_ONCE)
            _store(deletion, [DoomedManifest(deletion=deletion, digest=digest) for digest in digests])
        if not digests:
            return


def _store(deletion: ImageDeletion, rows: list[DoomedManifest]) -> None:
    """Insert or reset the rows: a tag or digest that was pushed again is untagged or removed again."""
    distinct = {(row.tag, row.digest): row for row in rows}  # an index may name one child for several platforms
    with transaction.atomic():
        DoomedManifest.objects.bulk_create(
            distinct.values(),
            update_conflicts=True,
            unique_fields=["deletion", "tag", "digest"],
            update_fields=["untagged", "removed"],
        )


# As ``_store`` does, for what the index knows.
_LIST_CHILDREN = """
INSERT INTO images_doomedmanifest (deletion_id, tag, digest, untagged, removed)
SELECT DISTINCT %s::bigint, '', child ->> 'digest', false, false
FROM images_manifest AS parent CROSS JOIN jsonb_array_elements(parent.children) AS child
WHERE parent.image_id = %s AND parent.digest = ANY (%s)
ON CONFLICT (deletion_id, tag, digest) DO UPDATE SET untagged = excluded.untagged, removed = excluded.removed
"""


def _list_children(deletion: ImageDeletion, repository: str) -> None:
    """Add the manifests that doomed indexes name, at any depth."""
    seen: set[str] = set()
    digests = deletion.doomed.filter(removed=False).values_list("digest", flat=True).distinct()
    is_fresh = True
    while is_fresh:
        is_fresh = False
        for batch in batches((digest for digest in digests.iterator() if digest not in seen), _BATCH):
            is_fresh = True
            seen.update(batch)
            indexed = set(understood(deletion.image, batch).values_list("digest", flat=True))
            with connection.cursor() as cursor:
                cursor.execute(_LIST_CHILDREN, [deletion.pk, deletion.image_id, list(indexed)])
            for _digest, parts in parts_of_each(repository, [one for one in batch if one not in indexed]):
                for some in batches(sorted(parts.named), _LISTED_AT_ONCE):
                    _store(deletion, [DoomedManifest(deletion=deletion, digest=child) for child in some])


# --- 2. tags --------------------------------------------------------------------------------------------------------


def _untag(deletion: ImageDeletion, repository: str, turn_over: Callable[[], bool]) -> None:
    _start_phase(deletion, ImageDeletion.Phase.TAGS)
    untagging = Untagging(repository)
    for batch in batches(deletion.doomed.exclude(tag="").filter(untagged=False).order_by("tag").iterator(), _BATCH):
        _list_moved(deletion, repository, batch)
        untagging.add(row.tag for row in batch)
        with transaction.atomic():
            DoomedManifest.objects.filter(pk__in=[row.pk for row in batch]).update(untagged=True)
            _advance(deletion, len(batch))
        raise_if_over(turn_over)
    # Also without a new batch: an earlier run may have ended before it removed the tombstone.
    if deletion.doomed.exists():
        untagging.finish()


def _list_moved(deletion: ImageDeletion, repository: str, batch: list[DoomedManifest]) -> None:
    """Add what was pushed under these tags since they were listed: once they are untagged, nothing names it."""
    moved = moved_tags(repository, {row.tag: row.digest for row in batch})
    if moved:
        rows = [DoomedManifest(deletion=deletion, tag=tag, digest=digest) for tag, digest in moved.items()]
        _store(deletion, rows)
        _list_children(deletion, repository)


# --- 3. manifests ---------------------------------------------------------------------------------------------------


def _remove_manifests(deletion: ImageDeletion, repository: str, turn_over: Callable[[], bool]) -> None:
    _start_phase(deletion, ImageDeletion.Phase.MANIFESTS)
    removal = Removal(repository)
    rows = deletion.doomed.filter(removed=False).order_by("digest").distinct("digest")
    digests = rows.values_list("digest", flat=True).iterator()
    for piece in pieces(blobs_of_each(deletion.image, digests)):
        repair_manifests(repository, understood(deletion.image, piece).values_list("digest", flat=True))
        removal.remove(piece, (blob for parts in piece.values() for blob in parts.blobs))
        with transaction.atomic():
            deletion.doomed.filter(digest__in=piece.keys()).update(removed=True)
            _advance(deletion, len(piece))
        raise_if_over(turn_over)


def _finish(image: Image) -> None:
    """Delete the image's row and all rows that belong to it."""
    with transaction.atomic():
        # The lock order is namespace, image: as where images are created or transferred.
        Namespace.objects.filter(pk=image.namespace_id).update(changed_at=timezone.now())
        locked = Image.objects.select_for_update(of=("self",)).select_related("namespace").get(pk=image.pk)
        # The ORM would read each of ten thousand tags before it deletes them.
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
