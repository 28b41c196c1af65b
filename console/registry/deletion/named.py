"""What a manifest names, and what names it: from the registry, or from the index where it understands the manifest.

An image, and what lies under a name, is deleted as a whole: what each manifest names is enough (``parts_of_each``).
Tags are deleted with what nothing else needs, and only the index knows that (``below``, ``named_by_others``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import QuerySet

from console.registry.connection import at_once
from console.registry.deletion.steps import batches
from console.registry.large_content import content_held
from console.repositories.models import Image
from console.repositories.models import Manifest as IndexedManifest
from registry_client import MalformedManifest, Manifest, UnreadableContent

log = logging.getLogger(__name__)

# So many lists of digests are held at a time.
_PARTS_AT_ONCE = 4
# The registry is asked what manifests of these kinds name.
_NOT_UNDERSTOOD = (IndexedManifest.Kind.UNREAD, IndexedManifest.Kind.OTHER)


class Parts(NamedTuple):
    """What a digest names as an index, whatever that is, and the blobs that are removed with the digest itself."""

    named: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()


def understood(image: Image, digests: Iterable[str]) -> QuerySet[IndexedManifest]:
    """Those of these digests of which the index knows all that they name."""
    known = IndexedManifest.objects.filter(image=image, digest__in=list(digests))
    return known.exclude(kind__in=_NOT_UNDERSTOOD)


def parts_of_each(repository: str, digests: Iterable[str]) -> Iterator[tuple[str, Parts]]:
    """What each of these digests names, from the registry; a few of them at a time.

    Nothing where the registry has nothing, or something that it cannot read. A blob is its own part.

    :raises registry_client.RegistryError: when the registry fails.
    """
    for some in batches(digests, _PARTS_AT_ONCE):
        yield from zip(some, at_once(lambda digest: _parts_of(repository, digest), some), strict=True)


def blobs_of_each(image: Image, digests: Iterable[str]) -> Iterator[tuple[str, Parts]]:
    """The blobs of each of these digests, which the index knows or the registry has; not what an index names.

    :raises registry_client.RegistryError: when the registry fails.
    """
    for some in batches(digests, _PARTS_AT_ONCE):
        known = dict(understood(image, some).values_list("digest", "blobs"))
        yield from ((digest, Parts(blobs=tuple(blobs))) for digest, blobs in known.items())
        yield from parts_of_each(image.repository, [digest for digest in some if digest not in known])


def _parts_of(repository: str, digest: str) -> Parts:
    try:
        with content_held(repository, digest) as content:
            if content is None:
                return Parts()
            if not isinstance(content, Manifest):
                return Parts(blobs=(digest,))
            # What is not JSON names nothing, and is no index either.
            digests = tuple(entry.digest for entry in content.entries)
            return Parts(named=digests) if digests and _is_index(content) else Parts(blobs=digests)
    except UnreadableContent as error:
        log.warning("%s@%s cannot be read: %s", repository, digest, error)
        return Parts()


def _is_index(manifest: Manifest) -> bool:
    """Whether it is one; a manifest of an unknown type with more values than are parsed counts as none."""
    try:
        return manifest.is_index
    except MalformedManifest:
        return False


# --- in the index ---------------------------------------------------------------------------------------------------

# All below a set of digests, at any depth: what an index names, and what has one of them as its subject and no tag.
_BELOW = """
WITH RECURSIVE below (digest) AS (
    SELECT unnest(%s::text[])
    UNION
    SELECT dependent.digest FROM below CROSS JOIN LATERAL (
        SELECT child ->> 'digest' FROM images_manifest AS parent
        CROSS JOIN jsonb_array_elements(parent.children) AS child
        WHERE parent.image_id = %s AND parent.digest = below.digest
        UNION ALL
        SELECT about.digest FROM images_manifest AS about
        WHERE about.image_id = %s AND about.subject <> '' AND about.subject = below.digest
        AND NOT EXISTS (SELECT FROM images_tag AS tag WHERE tag.manifest_id = about.id)
    ) AS dependent (digest)
)
SELECT digest FROM below
"""
# Of these digests, those that an index names, or that are a blob of a manifest, which is not among them and not doomed.
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


def below(image: Image, digests: Iterable[str]) -> set[str]:
    """These digests and all below them: what indexes name, and attachments without a tag; at any depth."""
    return _digests(_BELOW, [sorted(digests), image.pk, image.pk])


def named_by_others(image: Image, digests: Iterable[str]) -> set[str]:
    """Those of these digests that another manifest of the image names, which stays."""
    names = sorted(digests)
    return _digests(_NAMED_BY_OTHERS, [image.pk, names, names, image.pk, names, names, names])


def blobs_among(image: Image, digests: Iterable[str]) -> set[str]:
    """Those of these digests that are blobs of the image's manifests."""
    names = sorted(digests)
    return _digests(_BLOBS, [image.pk, names, names]) if names else set()


def _digests(statement: str, parameters: list[Any]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return {digest for (digest,) in cursor.fetchall()}
