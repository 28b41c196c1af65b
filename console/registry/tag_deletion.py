"""Deleting some tags of an image, with what is about them, and nothing else.

Deleting a digest takes every tag along that points at it. So the tags are pointed at the tombstone first, its digest is
deleted, and then the digests that nothing names any more: no other tag, and no index that stays. What says something
about a digest that goes (signatures, SBOMs) goes with it, whether it has a tag or not.

The tags are marked in the database before anything is touched. Each step can be done again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from console.audit.origin import SYSTEM
from console.audit.services import Event, record_all
from console.registry import deletion
from console.registry.connection import at_once
from console.registry.contents import (
    is_tombstone,
    point_at_tombstone,
    readable_digest,
    remove,
    remove_tombstone,
    require_deletes,
)
from console.registry.late_pushes import LatePushes
from console.repositories import failures
from console.repositories.locks import image_locked
from console.repositories.models import Image, Manifest, Tag
from console.repositories.totals import refresh_totals

log = logging.getLogger(__name__)


def delete_marked_tags(image: Image, turn_over: Callable[[], bool] = deletion.never) -> None:
    """Delete every tag of the image that is marked as being deleted.

    :param turn_over: asked now and then whether it is somebody else's turn.
    :raises registry_client.RegistryError: when the registry fails; calling again goes on from there.
    :raises console.registry.deletion.TurnOver: when it is somebody else's turn.
    """
    late_pushes = LatePushes(image)
    late_pushes.sync_new(anew=True)
    _delete_tags(image, late_pushes)
    _remove_doomed(image, late_pushes, turn_over)


def _delete_tags(image: Image, late_pushes: LatePushes) -> None:
    marked = list(_with_digests(Tag.objects.filter(image=image, state=Tag.State.DELETING)).order_by("name"))
    gone = _without_those_pushed_anew(image, marked)
    if not gone:
        refresh_totals(image.pk)
        return
    require_deletes(image.repository)
    unneeded = _unneeded(image, gone)
    attached = _attached(image, unneeded)
    while attached:
        with image_locked(image.pk):
            Tag.objects.filter(pk__in=[tag.pk for tag in attached]).update(
                state=Tag.State.DELETING, deleting_since=timezone.now()
            )
        gone += attached
        unneeded = _unneeded(image, gone)
        attached = _attached(image, unneeded)
    for start in range(0, len(gone), deletion.BURIED_AT_ONCE):
        _delete_batch(image, gone[start : start + deletion.BURIED_AT_ONCE], unneeded, late_pushes)


def _delete_batch(image: Image, batch: list[Tag], unneeded: list[str], late_pushes: LatePushes) -> None:
    """Delete tags in one go; of ``unneeded``, those that they alone named are marked for what comes after."""
    pushed_anew = at_once(lambda tag: _bury(image.repository, tag), batch)
    remove_tombstone(image.repository)
    gone = [tag for tag, digest in zip(batch, pushed_anew, strict=True) if digest is None]
    below = _below(image, {tag.manifest.digest for tag in gone}) & set(unneeded)
    # What an index names without the registry having had it when the index was read.
    unknown = below - set(Manifest.objects.filter(image=image, digest__in=below).values_list("digest", flat=True))
    # Its media type may have called a layer a manifest: layers stay.
    failures.leave_behind(image.repository, remove(image.repository, manifests=unknown - _blobs(image, unknown)))
    anew = [(tag, digest) for tag, digest in zip(batch, pushed_anew, strict=True) if digest is not None]
    # Of several requests the first one's time: in doubt a push is the later wish.
    requested = min((tag.deleting_since for tag in gone if tag.deleting_since), default=timezone.now())
    with image_locked(image.pk):
        Manifest.objects.filter(image=image, digest__in=below).update(doomed=True, doomed_at=requested)
        rows = Tag.objects.filter(pk__in=[tag.pk for tag in gone], state=Tag.State.DELETING)
        going = set(rows.values_list("pk", flat=True))
        rows.delete()
        # Who asked for it is in "tag.delete": several may have asked for some each.
        record_all(
            Event("tag.deleted", f"{image.repository}:{tag.name}", SYSTEM, {"old": tag.manifest.digest})
            for tag in gone
            if tag.pk in going
        )
        _keep(image, anew)
        refresh_totals(image.pk)
    late_pushes.sync_tags([tag.name for tag, _digest in anew])


def _bury(repository: str, tag: Tag) -> str | None:
    """Point the tag at the tombstone, unless somebody has pushed it anew until this very moment; the digest if so."""
    present = readable_digest(repository, tag.name)
    # One that cannot be read is mended by the tombstone.
    if present and not _points_where_it_did(tag, present):
        return present
    point_at_tombstone(repository, tag.name)
    return None


def _keep(image: Image, anew: list[tuple[Tag, str]]) -> None:
    """Take the mark from tags that somebody pushed anew after the deletion was asked for: what they pushed stays.

    :param anew: each with the digest that it has now; the caller holds the image's lock.
    """
    marked = Tag.objects.filter(pk__in=[tag.pk for tag, _digest in anew], state=Tag.State.DELETING)
    kept = set(marked.values_list("pk", flat=True))
    marked.update(state=Tag.State.ACTIVE, problem="")
    # Or "tag.delete" would read as if it had been done.
    record_all(
        Event("tag.kept", f"{image.repository}:{tag.name}", SYSTEM, {"digest": digest})
        for tag, digest in anew
        if tag.pk in kept
    )


def _points_where_it_did(tag: Tag, present: str) -> bool:
    # The row keeps the digest: after a failure between the tombstone and the end, it says what the tag pointed at.
    return present == tag.manifest.digest or is_tombstone(present)


def _remove_doomed(image: Image, late_pushes: LatePushes, turn_over: Callable[[], bool]) -> None:
    """Delete the digests that nothing named any more when their tags went. Each takes a reading of all tags left.

    What was pushed meanwhile may name one of them again, and is looked at before each.
    """
    looked = False
    while Manifest.objects.filter(image=image, doomed=True).exists():
        if late_pushes.sync_new(anew=not looked) or not looked:
            _spare_what_is_needed(image)
            looked = True
        manifest = Manifest.objects.filter(image=image, doomed=True).order_by("digest").first()
        if manifest is None:
            return
        failures.leave_behind(image.repository, remove(image.repository, manifests=[manifest.digest]))
        Manifest.objects.filter(pk=manifest.pk, tags=None).delete()
        if turn_over():
            raise deletion.TurnOver


def _spare_what_is_needed(image: Image) -> None:
    """Take the mark from digests that a tag points at, or that an index names which stays."""
    with image_locked(image.pk):
        doomed = Manifest.objects.filter(image=image, doomed=True)
        going = set(doomed.values_list("digest", flat=True))
        tagged = set(doomed.exclude(tags=None).values_list("digest", flat=True))
        spared = going - _less_what_is_named(image, going, tagged)
        doomed.filter(digest__in=spared).update(doomed=False)


def _without_those_pushed_anew(image: Image, marked: list[Tag]) -> list[Tag]:
    """The tags that still point where they did when they were marked, at the tombstone already, or nowhere."""
    found = at_once(lambda tag: readable_digest(image.repository, tag.name), marked)
    gone, anew = [], []
    for tag, present in zip(marked, found, strict=True):
        if present and not _points_where_it_did(tag, present):
            anew.append((tag, present))
        else:
            gone.append(tag)
    if anew:
        with image_locked(image.pk):
            _keep(image, anew)
    return gone


def _attached(image: Image, unneeded: list[str]) -> list[Tag]:
    """Tags that are about a digest that goes, and are not marked yet."""
    about = Tag.objects.filter(image=image, subject__in=unneeded, state=Tag.State.ACTIVE)
    return list(_with_digests(about).order_by("name"))


def _with_digests(tags: QuerySet[Tag]) -> QuerySet[Tag]:
    """With what they point at, but not what that names: many tags may name very much each."""
    lists = [f"manifest__{name}" for name in ("platforms", "blobs", "children")]
    return tags.select_related("manifest").defer(*lists)


# What hangs on a set of digests, however deep: everything an index names, and what names something as its subject and
# has no tag of its own.
_BELOW = """
WITH RECURSIVE below (digest) AS (
    SELECT unnest(%s::text[])
    UNION
    SELECT hanging.digest FROM below CROSS JOIN LATERAL (
        SELECT child ->> 'digest' FROM images_manifest AS parent
        CROSS JOIN jsonb_array_elements(parent.children) AS child
        WHERE parent.image_id = %s AND parent.digest = below.digest
        UNION ALL
        SELECT about.digest FROM images_manifest AS about
        WHERE about.image_id = %s AND about.subject <> '' AND about.subject = below.digest
        AND NOT EXISTS (SELECT FROM images_tag AS tag WHERE tag.manifest_id = about.id)
    ) AS hanging (digest)
)
SELECT digest FROM below
"""
# Of these digests, those that an index names which is not among the ones that go, or that are a blob of something
# which is not.
_NAMED_BY_OTHERS = """
SELECT DISTINCT child ->> 'digest'
FROM images_manifest AS parent CROSS JOIN jsonb_array_elements(parent.children) AS child
WHERE parent.image_id = %s AND jsonb_array_length(parent.children) > 0
AND NOT parent.doomed AND NOT parent.digest = ANY (%s)
AND child ->> 'digest' = ANY (%s)
UNION
SELECT blob FROM images_manifest AS parent CROSS JOIN jsonb_array_elements_text(parent.blobs) AS blob
WHERE parent.image_id = %s AND parent.blobs ?| %s
AND NOT parent.doomed AND NOT parent.digest = ANY (%s)
AND blob = ANY (%s)
"""
_BLOBS = """
SELECT DISTINCT blob FROM images_manifest AS parent CROSS JOIN jsonb_array_elements_text(parent.blobs) AS blob
WHERE parent.image_id = %s AND parent.blobs ?| %s AND blob = ANY (%s)
"""


def _below(image: Image, digests: set[str]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(_BELOW, [sorted(digests), image.pk, image.pk])
        return {digest for (digest,) in cursor.fetchall()}


def _named_by_others(image: Image, going: set[str]) -> set[str]:
    with connection.cursor() as cursor:
        names = sorted(going)
        cursor.execute(_NAMED_BY_OTHERS, [image.pk, names, names, image.pk, names, names, names])
        return {digest for (digest,) in cursor.fetchall()}


def _blobs(image: Image, digests: set[str]) -> set[str]:
    """Which of these are blobs of the image's manifests."""
    if not digests:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_BLOBS, [image.pk, sorted(digests), sorted(digests)])
        return {digest for (digest,) in cursor.fetchall()}


def _unneeded(image: Image, gone: list[Tag]) -> list[str]:
    """Digests that nothing names once the tags in ``gone`` are away: theirs, and what these name.

    What other tags point at is decided by the index, which has just caught up with the registry.
    """
    going = _below(image, {tag.manifest.digest for tag in gone})
    others = Tag.objects.filter(image=image, manifest__digest__in=going).exclude(name__in={tag.name for tag in gone})
    return sorted(_less_what_is_named(image, going, set(others.values_list("manifest__digest", flat=True))))


def _less_what_is_named(image: Image, going: set[str], kept: set[str]) -> set[str]:
    """Of ``going``, what neither is in ``kept`` nor named, directly or further down, by something that stays."""
    while True:
        going = going - _below(image, kept & going)
        kept = _named_by_others(image, going)
        if not kept:
            return going
