"""Delete some tags of an image with their attachments, and nothing else.

The tags are marked in the database (``Tag.State.DELETING``) before anything changes. After they are untagged, the
manifests are removed that nothing names any more: no other tag, and no index that stays. Attachments of a removed
manifest (signatures, SBOMs) are removed with it, with or without a tag. The repository's links to blobs stay: a push
that is under way may rely on them. Every step is idempotent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.db.models import QuerySet
from django.utils import timezone

from console.audit.origin import SYSTEM
from console.audit.services import Event, record_all
from console.registry.deletion.late_pushes import LatePushes
from console.registry.deletion.named import below, blobs_among, named_by_others
from console.registry.deletion.removal import Removal
from console.registry.deletion.steps import UNTAGGED_AT_ONCE, batches, moved_tags, never, raise_if_over, untag
from console.registry.tombstone import require_deletes
from console.repositories.locks import image_locked
from console.repositories.models import Image, Manifest, Tag
from console.repositories.totals import refresh_totals


def run_tag_deletion(image: Image, turn_over: Callable[[], bool] = never) -> None:
    """Delete every tag of the image that is marked for deletion.

    :param turn_over: whether the turn (time slice) is over; asked after each removed manifest.
    :raises registry_client.RegistryError: when the registry fails; calling again resumes.
    :raises console.registry.deletion.steps.TurnOver: when the turn is over; calling again resumes.
    """
    late_pushes = LatePushes(image)
    late_pushes.sync_new(read_all=True)
    _untag_marked(image, late_pushes)
    _remove_doomed(image, late_pushes, turn_over)


# --- 1. tags --------------------------------------------------------------------------------------------------------


def _untag_marked(image: Image, late_pushes: LatePushes) -> None:
    """Remove the marked tags and those of their attachments; what nothing names then is marked as doomed."""
    marked = list(_with_digests(Tag.objects.filter(image=image, state=Tag.State.DELETING)).order_by("name"))
    going = _without_moved(image, marked)
    if not going:
        refresh_totals(image.pk)
        return
    require_deletes(image.repository)
    unneeded = _unneeded(image, going)
    attached = _attached(image, unneeded)
    while attached:
        with image_locked(image.pk):
            Tag.objects.filter(pk__in=[tag.pk for tag in attached]).update(
                state=Tag.State.DELETING, deleting_since=timezone.now()
            )
        going += attached
        unneeded = _unneeded(image, going)
        attached = _attached(image, unneeded)
    for batch in batches(going, UNTAGGED_AT_ONCE):
        _untag_batch(image, batch, unneeded, late_pushes)


def _untag_batch(image: Image, batch: list[Tag], unneeded: set[str], late_pushes: LatePushes) -> None:
    """Remove a batch of tags; of ``unneeded``, what they alone named is marked as doomed."""
    # A row keeps its digest until the end: after a failure it says what the tag pointed at.
    moved = untag(image.repository, [tag.name for tag in batch], {tag.name: tag.manifest.digest for tag in batch})
    gone = [tag for tag in batch if tag.name not in moved]
    doomed = below(image, {tag.manifest.digest for tag in gone}) & unneeded
    # What an index names and the registry lacked when the index was read.
    unknown = doomed - set(Manifest.objects.filter(image=image, digest__in=doomed).values_list("digest", flat=True))
    # An index may list a layer as if it were a manifest: layers stay.
    Removal(image.repository).remove(unknown - blobs_among(image, unknown))
    # Of several requests the time of the first: in doubt a push came later.
    requested = min((tag.deleting_since for tag in gone if tag.deleting_since), default=timezone.now())
    with image_locked(image.pk):
        Manifest.objects.filter(image=image, digest__in=doomed).update(doomed=True, doomed_at=requested)
        rows = Tag.objects.filter(pk__in=[tag.pk for tag in gone], state=Tag.State.DELETING)
        deleted = set(rows.values_list("pk", flat=True))
        rows.delete()
        # The person is in "tag.delete": several may have requested some tags each.
        record_all(
            Event("tag.deleted", f"{image.repository}:{tag.name}", SYSTEM, {"old": tag.manifest.digest})
            for tag in gone
            if tag.pk in deleted
        )
        _unmark(image, batch, moved)
        refresh_totals(image.pk)
    late_pushes.sync_tags([tag.name for tag in batch if tag.name in moved])


def _without_moved(image: Image, marked: list[Tag]) -> list[Tag]:
    """The marked tags less those that were pushed again since, which lose their mark."""
    moved = moved_tags(image.repository, {tag.name: tag.manifest.digest for tag in marked})
    if moved:
        with image_locked(image.pk):
            _unmark(image, marked, moved)
    return [tag for tag in marked if tag.name not in moved]


def _unmark(image: Image, tags: list[Tag], moved: Mapping[str, str]) -> None:
    """Keep the tags that were pushed again after the deletion was requested.

    :param moved: their names with the digests that they have now; the caller holds the image's lock.
    """
    again = [tag for tag in tags if tag.name in moved]
    marked = Tag.objects.filter(pk__in=[tag.pk for tag in again], state=Tag.State.DELETING)
    kept = set(marked.values_list("pk", flat=True))
    marked.update(state=Tag.State.ACTIVE, problem="")
    # Without it "tag.delete" would read as if the tag had been deleted.
    record_all(
        Event("tag.kept", f"{image.repository}:{tag.name}", SYSTEM, {"digest": moved[tag.name]})
        for tag in again
        if tag.pk in kept
    )


def _attached(image: Image, unneeded: set[str]) -> list[Tag]:
    """Tags of attachments of these digests that are not marked yet."""
    about = Tag.objects.filter(image=image, subject__in=unneeded, state=Tag.State.ACTIVE)
    return list(_with_digests(about).order_by("name"))


def _with_digests(tags: QuerySet[Tag]) -> QuerySet[Tag]:
    """With their manifests, but without the long lists: many tags may name very much each."""
    lists = [f"manifest__{name}" for name in ("platforms", "blobs", "children")]
    return tags.select_related("manifest").defer(*lists)


# --- 2. manifests ---------------------------------------------------------------------------------------------------


def _remove_doomed(image: Image, late_pushes: LatePushes, turn_over: Callable[[], bool]) -> None:
    """Remove the doomed manifests one by one: for each the registry reads all tags that are left.

    A push in the meantime may need one of them: late pushes are synced before each.
    """
    synced = False
    while Manifest.objects.filter(image=image, doomed=True).exists():
        if late_pushes.sync_new(read_all=not synced) or not synced:
            _spare_needed(image)
            synced = True
        manifest = Manifest.objects.filter(image=image, doomed=True).order_by("digest").first()
        if manifest is None:
            return
        Removal(image.repository).remove([manifest.digest])
        Manifest.objects.filter(pk=manifest.pk, tags=None).delete()
        raise_if_over(turn_over)


def _spare_needed(image: Image) -> None:
    """Take the mark from doomed manifests that a tag points at, or that an index names which stays."""
    with image_locked(image.pk):
        doomed = Manifest.objects.filter(image=image, doomed=True)
        going = set(doomed.values_list("digest", flat=True))
        tagged = set(doomed.exclude(tags=None).values_list("digest", flat=True))
        doomed.filter(digest__in=going - _without_needed(image, going, tagged)).update(doomed=False)


def _unneeded(image: Image, going: list[Tag]) -> set[str]:
    """Digests that nothing names once these tags are gone: theirs, and what these name.

    The index, which was just synced with the registry, says what other tags point at.
    """
    digests = below(image, {tag.manifest.digest for tag in going})
    others = Tag.objects.filter(image=image, manifest__digest__in=digests).exclude(name__in={tag.name for tag in going})
    return _without_needed(image, digests, set(others.values_list("manifest__digest", flat=True)))


def _without_needed(image: Image, going: set[str], needed: set[str]) -> set[str]:
    """Of ``going``, what is neither ``needed`` nor named, at any depth, by something that stays."""
    while True:
        going = going - below(image, needed & going)
        needed = named_by_others(image, going)
        if not needed:
            return going
