"""Deleting some tags of an image, with what is about them, and nothing else.

Deleting a digest takes every tag along that points at it. So the tags are pointed at the tombstone first, its digest is
deleted, and then the digests that nothing names any more: no other tag, and no index that stays. What says something
about a digest that goes (signatures, SBOMs) goes with it.

The tags are marked in the database before anything is touched. Each step can be done again.
"""

from __future__ import annotations

import logging

from django.db import connection, transaction

from console.images import deletion
from console.images.models import Image, Manifest, Tag
from console.images.totals import refresh_totals
from console.registry import at_once, registry

log = logging.getLogger(__name__)

# Up to so many other tags, each is asked for anew before a digest is deleted: half a second at most.
_CHEAP_TO_ASK = 500
_DOOMED_AT_ONCE = 20


def delete_marked_tags(image: Image) -> None:
    """Delete every tag of the image that is marked as being deleted.

    :raises registry_client.RegistryError: when the registry fails; calling again goes on from there.
    """
    _catch_up(image)
    _delete_tags(image)
    _remove_doomed(image)


def _delete_tags(image: Image) -> None:
    marked = list(Tag.objects.filter(image=image, state=Tag.State.DELETING).select_related("manifest").order_by("name"))
    gone = _without_those_pushed_anew(image, marked)
    if not gone:
        refresh_totals(image.pk)
        return
    unneeded = _unneeded(image, gone)
    attached = _attached(image, unneeded)
    while attached:
        Tag.objects.filter(pk__in=[tag.pk for tag in attached]).update(state=Tag.State.DELETING)
        gone += attached
        unneeded = _unneeded(image, gone)
        attached = _attached(image, unneeded)
    at_once(lambda tag: deletion.bury_tag(image.repository, tag.name), gone)
    deletion.remove_tombstone(image.repository)
    with transaction.atomic():
        Image.objects.select_for_update(of=("self",)).filter(pk=image.pk).first()
        Manifest.objects.filter(image=image, digest__in=unneeded).update(doomed=True)
        Tag.objects.filter(pk__in=[tag.pk for tag in gone], state=Tag.State.DELETING).delete()
        refresh_totals(image.pk)
    # What an index names without the registry having had it when the index was read.
    known = set(Manifest.objects.filter(image=image, digest__in=unneeded).values_list("digest", flat=True))
    for digest in sorted(set(unneeded) - known):
        registry().delete_manifest(image.repository, digest, missing_ok=True)


def _remove_doomed(image: Image) -> None:
    """Delete the digests that no tag named any more when their tags went. Each takes a reading of all tags left."""
    while True:
        doomed = list(Manifest.objects.filter(image=image, doomed=True, tags=None).order_by("digest")[:_DOOMED_AT_ONCE])
        if not doomed:
            Manifest.objects.filter(image=image, doomed=True).update(doomed=False)  # tagged again meanwhile
            return
        for manifest in doomed:
            registry().delete_manifest(image.repository, manifest.digest, missing_ok=True)
        Manifest.objects.filter(pk__in=[manifest.pk for manifest in doomed], tags=None).delete()
        _catch_up(image)


def _catch_up(image: Image) -> None:
    """Take in what was pushed until now, so that no digest that a new tag needs is taken for unneeded."""
    # Imported late: the index knows about deletions, too.
    from console.indexing import hints

    hints.follow(image.repository)


def _without_those_pushed_anew(image: Image, marked: list[Tag]) -> list[Tag]:
    """The tags that still point where they did when they were marked, at the tombstone already, or nowhere."""
    found = at_once(lambda tag: deletion.digest_of(image.repository, tag.name), marked)
    gone = []
    for tag, present in zip(marked, found, strict=True):
        if present in {"", tag.manifest.digest} or deletion.is_tombstone(present):
            # The row keeps the digest: after a failure between here and the end, it says what the tag pointed at.
            gone.append(tag)
        else:
            # Somebody pushed the tag anew after the deletion was asked for: what they pushed stays.
            Tag.objects.filter(pk=tag.pk).update(state=Tag.State.ACTIVE, problem="")
    return gone


def _attached(image: Image, unneeded: list[str]) -> list[Tag]:
    """Tags that are about a digest that goes, and are not marked yet."""
    return list(
        Tag.objects.filter(image=image, subject__in=unneeded, state=Tag.State.ACTIVE)
        .select_related("manifest")
        .order_by("name")
    )


# Everything an index of the image names, from a set of digests down, however deep.
_BELOW = """
WITH RECURSIVE below (digest) AS (
    SELECT unnest(%s::text[])
    UNION
    SELECT child ->> 'digest' FROM below
    JOIN images_manifest AS parent ON parent.image_id = %s AND parent.digest = below.digest
    CROSS JOIN jsonb_array_elements(parent.children) AS child
)
SELECT digest FROM below
"""
# Of these digests, those that an index names which is not among the ones that go.
_NAMED_BY_OTHERS = """
SELECT DISTINCT child ->> 'digest'
FROM images_manifest AS parent CROSS JOIN jsonb_array_elements(parent.children) AS child
WHERE parent.image_id = %s AND jsonb_array_length(parent.children) > 0 AND NOT parent.digest = ANY (%s)
AND child ->> 'digest' = ANY (%s)
"""


def _below(image: Image, digests: set[str]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(_BELOW, [sorted(digests), image.pk])
        return {digest for (digest,) in cursor.fetchall()}


def _named_by_others(image: Image, going: set[str]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(_NAMED_BY_OTHERS, [image.pk, sorted(going), sorted(going)])
        return {digest for (digest,) in cursor.fetchall()}


def _unneeded(image: Image, gone: list[Tag]) -> list[str]:
    """Digests that nothing names once the tags in ``gone`` are away: theirs, and what these name.

    What other tags point at is decided by the registry's present answers as far as asking is cheap, and by the index
    beyond: that has just caught up with what was pushed.
    """
    going = _below(image, {tag.manifest.digest for tag in gone})
    names = {tag.name for tag in gone}
    kept = set(
        Tag.objects.filter(image=image, manifest__digest__in=going)
        .exclude(name__in=names)
        .values_list("manifest__digest", flat=True)
    )
    others = [name for name in deletion.tags_of(image.repository) if name not in names]
    if len(others) <= _CHEAP_TO_ASK:
        kept.update(at_once(lambda name: deletion.digest_of(image.repository, name), others))
    while True:
        going -= _below(image, kept & going)
        named = _named_by_others(image, going)
        if not named:
            return sorted(going)
        kept = named
