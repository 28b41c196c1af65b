"""Clear a name that changes hands: remove what an old token pushed to a freed or transferred namespace.

The client that pushed decides how much that is. So the digests of all manifests to remove are stored in the database
(``PushedDigest``), where they survive a killed process, and a few manifests at a time are read and removed:

1. The digests that tags point at are stored, some hundred tags at a time, before a tag is changed.
2. A piece of the list is read, and what its indexes name is added to the list. The links to the blobs are removed,
   then the manifests, and these are marked as removed, so that none is read twice; until nothing is left.
3. The marked rows are deleted.

When only the later pushes to an image are removed, its other manifests stay with all that they name: the index knows
the blobs of most, those of the others are listed first (``KeptManifest``). Every step is idempotent: a killed job
resumes with the list.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable, Iterator

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from console.audit.services import record
from console.jobs.outages import is_outage
from console.registry.connection import registry
from console.registry.contents import digest_of, stored_manifest, tags_of
from console.registry.deletion.named import parts_of_each
from console.registry.deletion.removal import Removal, pieces
from console.registry.deletion.steps import batches, read_tags, untag
from console.registry.index.models import Hint
from console.registry.tombstone import is_tombstone
from console.repositories import pushed_digests
from console.repositories.models import Image, KeptManifest, PushedDigest, Tag, WorkFailure
from registry_client import RegistryError

# Tags that are read, and removed, at a time; digests that are read from the list; rows that are inserted.
_TAGS_AT_ONCE = 500
_READ_AT_ONCE = 500
_ADDED_AT_ONCE = 2000


def clear_repository(repository: str) -> int:
    """Remove all that is known of a repository that has no image.

    That is what tags name, what was pushed by digest, and what these name. The links to the blobs go too, so that the
    next owner of the name cannot read them, not even by their digests. What the registry cannot read or delete, because
    its storage is damaged, cannot be pulled either: it is recorded and left.

    :return: how many manifests there were.
    :raises registry_client.RegistryError: when the registry fails; calling again resumes.
    """
    tags = tags_of(repository)
    for some in batches(tags, _TAGS_AT_ONCE):
        found = read_tags(repository, some)
        # A tag that cannot be read has no digest to list. The others are removed with the manifests.
        if unreadable := [tag for tag, digest in found.items() if digest is None]:
            untag(repository, unreadable)
        pushed_digests.remember((repository, digest) for digest in found.values() if digest)
    _remove_listed(repository, PushedDigest.objects.filter(repository=repository), lambda digests: set())
    return _finish(repository, len(tags))


def undo_pushes(image: Image, since: datetime.datetime) -> int:
    """Undo what was pushed to an image that changes hands, after its index was last brought up to date.

    Tags that the index does not know are removed, tags that it has elsewhere are pointed back, and manifests that were
    pushed since ``since`` and are not in the index are removed with their blobs. What was pushed before and is not
    indexed yet, or cannot be indexed, stays with all that it names.

    :return: how many tags and manifests were removed or pointed back.
    :raises registry_client.RegistryError: when the registry fails; calling again resumes.
    """
    repository = image.repository
    # What a killed job has left.
    KeptManifest.objects.filter(image=image).delete()
    tags = sum(_undo_tags(image, some, since) for some in batches(tags_of(repository), _TAGS_AT_ONCE))
    kept = KeptManifest.objects.filter(image=image, digest=OuterRef("digest"))
    fresh = pushed_digests.unindexed(image).filter(~Exists(kept), notified_at__gte=since)
    if fresh.exists():
        _list_kept(image, since)
    _remove_listed(repository, fresh, lambda digests: _staying(image, digests))
    KeptManifest.objects.filter(image=image).delete()
    return tags + _finish(repository, tags)


def has_push_since(repository: str, since: datetime.datetime) -> bool:
    """Whether a push to the repository is known that was made after ``since``."""
    hints = Hint.objects.filter(repository=repository)
    if hints.filter(pushed_at__gt=since).exists():
        return True
    # A notification may be late: the hint says when the push itself was.
    notified = PushedDigest.objects.filter(repository=repository, notified_at__gt=since)
    return notified.exclude(digest__in=hints.filter(pushed_at__lte=since).values("digest")).exists()


# --- tags -----------------------------------------------------------------------------------------------------------


def _undo_tags(image: Image, tags: list[str], since: datetime.datetime) -> int:
    """Remove those of the tags that the index does not know, and point back those that it has elsewhere.

    :return: how many were removed or pointed back; the digests that they pointed at are listed.
    """
    repository = image.repository
    found = read_tags(repository, tags)
    indexed = dict(Tag.objects.filter(image=image, name__in=tags).values_list("name", "manifest__digest"))
    earlier = _pushed_before(repository, found, since)
    there = {tag: digest for tag, digest in found.items() if digest and not is_tombstone(digest)}
    unindexed = [tag for tag in tags if tag not in indexed and tag not in earlier]
    moved = [tag for tag in there if tag in indexed and there[tag] != indexed[tag] and tag not in earlier]
    pushed_digests.add(repository, {there[tag] for tag in (*unindexed, *moved) if tag in there})
    lost = [tag for tag in moved if not _point_back(repository, tag, indexed[tag])]
    # A killed job may have left tags at the tombstone that the index knows: they go with it.
    at_tombstone = any(digest and is_tombstone(digest) for digest in found.values())
    if unindexed or lost or at_tombstone:
        untag(repository, [*unindexed, *lost])
    _keep(image, {there[tag] for tag in earlier if tag in there})
    return len(unindexed) + len(moved)


def _pushed_before(repository: str, found: dict[str, str | None], since: datetime.datetime) -> set[str]:
    """Those of the tags that point at what was pushed before ``since`` and is not indexed.

    The notification is not synced yet, or syncing the tag was given up.

    :param found: the digest of each tag in the registry now.
    """
    hints = Hint.objects.filter(repository=repository, pushed_at__lte=since, tag__in=found)
    # Another digest under the tag is a later push.
    earlier = {tag for tag, digest in hints.values_list("tag", "digest") if not digest or found[tag] in {digest, None}}
    notified = PushedDigest.objects.filter(repository=repository, notified_at__gt=since)
    notified_since = set(notified.filter(digest__in=filter(None, found.values())).values_list("digest", flat=True))
    given_up = WorkFailure.objects.filter(kind=WorkFailure.Kind.INDEX, repository=repository, reference__in=found)
    # It was pushed with an old token only if its push was notified, and failed, since then.
    return earlier | {
        tag
        for tag, first_at in given_up.filter(given_up_at__isnull=False).values_list("reference", "first_at")
        if first_at <= since or found[tag] not in notified_since
    }


def _point_back(repository: str, tag: str, digest: str) -> bool:
    """Point a tag at a manifest that the index has; whether the registry accepts it."""
    stored = stored_manifest(repository, digest)
    if stored is None:
        return False
    try:
        registry().put_manifest(repository, tag, *stored)
    except RegistryError as error:
        if is_outage(error):
            raise
        return False  # what the manifest names was deleted
    return digest_of(repository, tag) == digest


# --- what stays -----------------------------------------------------------------------------------------------------

# What was pushed before and the index does not have, or has without knowing what it names.
_KEEP_WAITING = """
INSERT INTO images_keptmanifest (image_id, digest)
SELECT %(image)s, waiting.digest FROM (
    SELECT CASE WHEN tag LIKE '%%:%%' THEN tag ELSE digest END FROM indexing_hint
    WHERE repository = %(repository)s AND pushed_at <= %(since)s
    UNION
    SELECT digest FROM images_pusheddigest WHERE repository = %(repository)s AND notified_at < %(since)s
    UNION
    -- It was pushed with an old token only if its push was notified, and failed, since then.
    SELECT reference FROM images_workfailure AS failure
    WHERE kind = 'index' AND repository = %(repository)s AND given_up_at IS NOT NULL AND reference LIKE '%%:%%'
    AND (first_at <= %(since)s OR NOT EXISTS (
        SELECT FROM images_pusheddigest AS notified
        WHERE notified.repository = %(repository)s AND notified.digest = reference AND notified_at > %(since)s
    ))
    UNION
    SELECT digest FROM images_manifest WHERE image_id = %(image)s
    UNION
    SELECT child ->> 'digest' FROM images_manifest AS parent CROSS JOIN jsonb_array_elements(parent.children) AS child
    WHERE parent.image_id = %(image)s
) AS waiting (digest)
WHERE waiting.digest <> '' AND NOT EXISTS (
    SELECT FROM images_manifest AS known
    WHERE known.image_id = %(image)s AND known.digest = waiting.digest AND known.kind NOT IN ('', 'other')
)
ON CONFLICT DO NOTHING
"""
# Of these digests, those of manifests that stay, and of their blobs.
_STAYING = """
WITH going AS (SELECT unnest(%(digests)s::text[]) AS digest)
SELECT going.digest FROM going WHERE EXISTS (
    SELECT FROM images_manifest AS known WHERE known.image_id = %(image)s AND known.digest = going.digest
) OR EXISTS (
    SELECT FROM images_keptmanifest AS kept WHERE kept.image_id = %(image)s AND kept.digest = going.digest
)
UNION
SELECT going.digest FROM going JOIN (
    SELECT jsonb_array_elements_text(blobs) AS digest FROM images_manifest WHERE image_id = %(image)s
    UNION ALL
    SELECT jsonb_array_elements_text(blobs) FROM images_keptmanifest WHERE image_id = %(image)s
) AS blob USING (digest)
"""


def _list_kept(image: Image, since: datetime.datetime) -> None:
    """List the manifests that stay and that the index does not have, all below them, and their blobs."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEP_WAITING, {"image": image.pk, "repository": image.repository, "since": since})
    unread = KeptManifest.objects.filter(image=image, blobs__isnull=True)
    while unread.exists():
        for digest, parts in parts_of_each(image.repository, _each(unread)):
            _keep(image, parts.named)
            KeptManifest.objects.filter(image=image, digest=digest).update(blobs=list(parts.blobs))


def _keep(image: Image, digests: Iterable[str]) -> None:
    for some in batches(digests, _ADDED_AT_ONCE):
        KeptManifest.objects.bulk_create(
            [KeptManifest(image=image, digest=digest) for digest in some], ignore_conflicts=True
        )


def _staying(image: Image, digests: Collection[str]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(_STAYING, {"image": image.pk, "digests": list(digests)})
        return {digest for (digest,) in cursor.fetchall()}


# --- what goes ------------------------------------------------------------------------------------------------------


def _remove_listed(
    repository: str, listed: QuerySet[PushedDigest], staying: Callable[[Collection[str]], set[str]]
) -> None:
    """Remove the listed manifests with all that they name and that does not stay, and mark them as removed."""
    # What a killed job has marked may have been pushed again since.
    _removed(repository).update(removed=False)
    waiting = listed.filter(removed=False)
    while waiting.exists():
        removal = Removal(repository)  # a push since the last round may have linked blobs again
        for piece in pieces(parts_of_each(repository, _each(waiting))):
            named = {digest for parts in piece.values() for digest in parts.named}
            blobs = {digest for parts in piece.values() for digest in parts.blobs}
            stays = staying({*piece, *named, *blobs})
            # Listed before anything is removed: what only an index names would not be found again.
            for some in batches(named - stays, _ADDED_AT_ONCE):
                pushed_digests.add(repository, some)
            rows = PushedDigest.objects.filter(repository=repository, digest__in=piece.keys())
            notified = dict(rows.values_list("digest", "notified_at"))
            removal.remove(piece.keys() - stays, blobs - stays)
            # What was pushed again during the removal is not marked, and removed in the next round.
            pushed_digests.mark_removed(repository, notified)


def _finish(repository: str, tags: int) -> int:
    """Delete the rows of removed manifests and record that; how many there were.

    :param tags: how many tags were removed or pointed back.
    """
    with transaction.atomic():
        count, _rows = _removed(repository).delete()
        if tags or count:
            record("image.clear", repository, tags=tags, manifests=count)
    return count


def _removed(repository: str) -> QuerySet[PushedDigest]:
    return PushedDigest.objects.filter(repository=repository, removed=True)


def _each(rows: QuerySet[PushedDigest] | QuerySet[KeptManifest]) -> Iterator[str]:
    """The digests of the rows, in order; rows that are added meanwhile may be among them."""
    last = ""
    while digests := list(
        rows.filter(digest__gt=last).order_by("digest").values_list("digest", flat=True)[:_READ_AT_ONCE]
    ):
        yield from digests
        last = digests[-1]
