"""Deleting all tags of an image, in an order that a failure half-way cannot spoil.

Deleting a manifest by its digest reads every tag of the repository, and takes each tag that points at it along. So:

1. **Listing.** Each tag's digest is written down (``DoomedManifest``), with the children of indexes and whatever
   the index knows to be untagged, before anything is touched.
2. **Tags.** All tags are pointed at one tiny manifest, the tombstone, and its digest is deleted: one reading of the
   tags for all of them.
3. **Manifests.** The digests written down, which no tag names any more, are deleted one by one, with the links to
   their blobs.

Every step can be done again: a job that was killed goes on where it was. A tag pushed meanwhile (by a token from
before the deletion) starts another round, so that the image's row goes only when the registry lists no tag.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator

from django.db import transaction
from django.db.models import F

from console.audit.services import record
from console.images.models import DoomedManifest, Image, ImageDeletion, Manifest, Tag
from console.registry import registry
from registry_client import MalformedManifest, ManifestUnknown, NameUnknown, NotFound

log = logging.getLogger(__name__)

TOMBSTONE_MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"
# An index of nothing: it names no blob and no child, so it can be put into any repository as it is.
TOMBSTONE = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],'
    b'"annotations":{"io.my-images.tombstone":"This tag is being deleted."}}'
)
TOMBSTONE_DIGEST = f"sha256:{hashlib.sha256(TOMBSTONE).hexdigest()}"
_BATCH = 50
_MOST_ROUNDS = 20


class StillBusy(Exception):
    """Tags keep arriving: the deletion goes on a little later."""


def tags_of(repository: str) -> list[str]:
    """The tags that the registry lists now; none for a repository that it never had."""
    try:
        return registry().tags(repository)
    except NameUnknown:
        return []


def delete_everything(image: Image) -> None:
    """Take the image through the three phases until nothing is left, then remove its row.

    :raises registry_client.RegistryError: when the registry fails; calling again goes on from there.
    :raises StillBusy: when tags were pushed faster than they could be removed.
    """
    deletion = image.deletion
    repository = image.repository
    for _ in range(_MOST_ROUNDS):
        _list(deletion, repository)
        _bury_tags(deletion, repository)
        _remove_manifests(deletion, repository)
        if not tags_of(repository):
            _finish(image)
            return
    raise StillBusy(repository)


def _phase(deletion: ImageDeletion, phase: ImageDeletion.Phase) -> None:
    """Write down where the work is; the totals are counted from what was written down before."""
    doomed = deletion.doomed
    deletion.phase = phase
    deletion.problem = ""
    deletion.total = doomed.exclude(tag="").count() + doomed.values("digest").distinct().count()
    deletion.done = min(
        deletion.total,
        doomed.exclude(tag="").filter(buried=True).count()
        + doomed.filter(removed=True).values("digest").distinct().count(),
    )
    deletion.save(update_fields=["phase", "problem", "total", "done"])


def _advance(deletion: ImageDeletion, steps: int) -> None:
    ImageDeletion.objects.filter(pk=deletion.pk, done__lte=F("total") - steps).update(done=F("done") + steps)


def _batches(rows: Iterable[DoomedManifest]) -> Iterator[list[DoomedManifest]]:
    batch: list[DoomedManifest] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


# --- 1. listing -----------------------------------------------------------------------------------------------------


def _list(deletion: ImageDeletion, repository: str) -> None:
    _phase(deletion, ImageDeletion.Phase.LISTING)
    rows: list[DoomedManifest] = []
    for tag in tags_of(repository):
        try:
            digest = registry().resolve(repository, tag).digest
        except ManifestUnknown:
            continue
        if is_tombstone(digest):
            continue  # written down in an earlier round, or by a deletion of tags
        rows.append(DoomedManifest(deletion=deletion, tag=tag, digest=digest))
        if len(rows) >= _BATCH:
            _write_down(deletion, rows)
            rows = []
    _write_down(deletion, rows)
    untagged = Manifest.objects.filter(image=deletion.image).values_list("digest", flat=True)
    _write_down(deletion, [DoomedManifest(deletion=deletion, digest=digest) for digest in untagged])
    _write_down_children(deletion, repository)


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


def _write_down_children(deletion: ImageDeletion, repository: str) -> None:
    """Add the manifests that doomed indexes name, and those that these name in turn."""
    seen: set[str] = set()
    while True:
        digests = (
            deletion.doomed.filter(removed=False).exclude(digest__in=seen).values_list("digest", flat=True).distinct()
        )
        fresh = list(digests)
        if not fresh:
            return
        seen.update(fresh)
        indexed = {
            manifest.digest: manifest.children
            for manifest in Manifest.objects.filter(image=deletion.image, digest__in=fresh)
        }
        for digest in fresh:
            children = indexed[digest] if digest in indexed else _children(repository, digest)
            _write_down(deletion, [DoomedManifest(deletion=deletion, digest=child) for child in children])


def _children(repository: str, digest: str) -> list[str]:
    try:
        manifest = registry().manifest(repository, digest)
        return [child.digest for child in manifest.children] if manifest.is_index else []
    except (NotFound, MalformedManifest):
        return []


# --- 2. tags --------------------------------------------------------------------------------------------------------


def bury_tag(repository: str, tag: str) -> None:
    """Point ``tag`` at the tombstone."""
    registry().put_manifest(repository, tag, TOMBSTONE, TOMBSTONE_MEDIA_TYPE)


def remove_tombstone(repository: str) -> None:
    """Delete the tombstone's digest and with it every tag that points there."""
    registry().delete_manifest(repository, TOMBSTONE_DIGEST, missing_ok=True)


def is_tombstone(digest: str) -> bool:
    """Whether a digest is the tombstone's: a tag that points there is being deleted."""
    return digest == TOMBSTONE_DIGEST


def _bury_tags(deletion: ImageDeletion, repository: str) -> None:
    _phase(deletion, ImageDeletion.Phase.TAGS)
    for batch in _batches(deletion.doomed.exclude(tag="").filter(buried=False).order_by("tag").iterator()):
        for row in batch:
            bury_tag(repository, row.tag)
        with transaction.atomic():
            DoomedManifest.objects.filter(pk__in=[row.pk for row in batch]).update(buried=True)
            _advance(deletion, len(batch))
    remove_tombstone(repository)


# --- 3. manifests ---------------------------------------------------------------------------------------------------


def _remove_manifests(deletion: ImageDeletion, repository: str) -> None:
    _phase(deletion, ImageDeletion.Phase.MANIFESTS)
    unlinked: set[str] = set()
    rows = deletion.doomed.filter(removed=False).order_by("digest").distinct("digest")
    for batch in _batches(rows.iterator()):
        for row in batch:
            remove_manifest(repository, row.digest, unlinked)
        with transaction.atomic():
            deletion.doomed.filter(digest__in=[row.digest for row in batch]).update(removed=True)
            _advance(deletion, len(batch))


def remove_manifest(repository: str, digest: str, unlinked: set[str]) -> None:
    """Delete a manifest that no tag names, and the repository's links to its config and layers.

    Without the links, whoever gets the name next cannot read the blobs, even knowing their digests. The blobs stay
    for every other repository that has them. The manifest goes last: after a failure it still names what is left.

    :param unlinked: blobs already unlinked here; grows.
    """
    try:
        manifest = registry().manifest(repository, digest)
    except NotFound:
        return
    try:
        blobs = () if manifest.is_index else manifest.references
    except MalformedManifest:
        blobs = ()
    for blob in blobs:
        if blob not in unlinked:
            registry().delete_blob(repository, blob, missing_ok=True)
            unlinked.add(blob)
    registry().delete_manifest(repository, digest, missing_ok=True)


def _finish(image: Image) -> None:
    """Remove the image's row and all that hangs on it."""
    with transaction.atomic():
        locked = Image.objects.select_for_update(of=("self",)).select_related("namespace").get(pk=image.pk)
        # Row by row through the ORM would read ten thousand tags to forget them.
        for model in (
            DoomedManifest.objects.filter(deletion__image=locked),
            Tag.objects.filter(image=locked),
            Manifest.objects.filter(image=locked),
        ):
            model._raw_delete(model.db)
        record("image.deleted", locked.repository)
        locked.delete()
