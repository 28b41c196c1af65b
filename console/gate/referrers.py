"""The referrers of a manifest, from the index (OCI distribution specification, "Listing Referrers").

Referrers name the manifest as their subject. Where a client without this API has listed them in an index with the
fall-back tag ("Referrers Tag Schema"), the entries of that index are referrers, too; each digest is listed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.db import connection

from console.registry.large_content import SMALL_BYTES, one_at_a_time
from console.repositories.models import Document, Image
from registry_client import INDEX_MEDIA_TYPES, Manifest
from registry_client.json_documents import parse

# Entries, and bytes of their annotations, of one page. Clients read at most 4 MiB.
MOST_REFERRERS = 200
_MOST_BYTES = 1 << 20
# Manifests that are read at a time, and bytes of them that are examined for one page: a manifest may have 4 MiB.
_AT_ONCE = 20
_MOST_EXAMINED = 16 << 20


class Referrers(NamedTuple):
    """Descriptors of a page, perhaps none; the next page begins after the digest ``last``, empty if there is none."""

    descriptors: list[dict[str, Any]]
    last: str


# An artifact type that is not stated is that of the config: it is empty in the index for ordinary images.
_REFERRERS = """
WITH about (digest) AS (
    SELECT manifest.digest FROM images_manifest AS manifest
    WHERE manifest.image_id = %(image)s AND manifest.subject <> '' AND manifest.subject = %(digest)s
    UNION
    SELECT child ->> 'digest' FROM images_tag AS tag JOIN images_manifest AS list ON list.id = tag.manifest_id
    CROSS JOIN jsonb_array_elements(list.children) AS child
    WHERE tag.image_id = %(image)s AND tag.name = %(fallback)s
)
SELECT manifest.digest, manifest.media_type, octet_length(document.content)
FROM about
JOIN images_manifest AS manifest ON manifest.image_id = %(image)s AND manifest.digest = about.digest
JOIN images_document AS document ON document.digest = manifest.digest
WHERE NOT manifest.doomed AND about.digest COLLATE "C" > %(last)s
    AND (%(artifact_type)s = '' OR manifest.artifact_type IN ('', left(%(artifact_type)s, 200)))
ORDER BY about.digest COLLATE "C" LIMIT %(limit)s
"""


def referrers_of(repository: str, digest: str, artifact_type: str, last: str) -> Referrers:
    """A page of the referrers of a manifest; none of a manifest or a repository that does not exist.

    :param artifact_type: lists only those of this type; empty for all.
    :param last: begins after this digest.
    """
    image = Image.objects.filter(full_name=repository, state=Image.State.ACTIVE).values_list("pk", flat=True).first()
    descriptors, weight = list[dict[str, Any]](), 0
    if image is None:
        return Referrers(descriptors, "")
    examined, last_examined = 0, ""
    for manifest in _manifests(image, digest, artifact_type, last):
        if examined and examined + len(manifest.content) > _MOST_EXAMINED:
            return Referrers(descriptors, last_examined)
        descriptor = _descriptor(manifest)
        matches = not artifact_type or descriptor.get("artifactType") == artifact_type
        if matches:
            weight += sum(len(key) + len(value) for key, value in descriptor.get("annotations", {}).items())
            if descriptors and (len(descriptors) >= MOST_REFERRERS or weight > _MOST_BYTES):
                return Referrers(descriptors, last_examined)
            descriptors.append(descriptor)
        examined += len(manifest.content)
        last_examined = manifest.digest
    return Referrers(descriptors, "")


def _manifests(image: int, digest: str, artifact_type: str, last: str) -> Iterator[Manifest]:
    """The manifests in the order of their digests: small ones are read in batches, large ones one by one."""
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                _REFERRERS,
                {
                    "image": image,
                    "digest": digest,
                    "fallback": digest.replace(":", "-"),
                    "artifact_type": artifact_type,
                    "last": last,
                    "limit": _AT_ONCE,
                },
            )
            rows = cursor.fetchall()
        small = _contents([found for found, _media_type, size in rows if size <= SMALL_BYTES])
        for found, media_type, size in rows:
            if size <= SMALL_BYTES:
                if found in small:
                    yield Manifest("", found, media_type, small[found])
                continue
            with one_at_a_time():
                for content in _contents([found]).values():
                    yield Manifest("", found, media_type, content)
        if len(rows) < _AT_ONCE:
            return
        last = rows[-1][0]


def _contents(digests: list[str]) -> dict[str, bytes]:
    """The contents of these manifests that are still stored."""
    documents = Document.objects.filter(digest__in=digests) if digests else Document.objects.none()
    return {digest: bytes(content) for digest, content in documents.values_list("digest", "content")}


def _descriptor(manifest: Manifest) -> dict[str, Any]:
    """The descriptor of a referrer: with its artifact type, else that of its config, and its annotations."""
    descriptor: dict[str, Any] = {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": len(manifest.content),
    }
    try:
        document = parse(manifest.content)
    except ValueError:
        return descriptor
    if not isinstance(document, dict):
        return descriptor
    artifact_type = document.get("artifactType")
    if not artifact_type and manifest.media_type not in INDEX_MEDIA_TYPES:
        config = document.get("config")
        artifact_type = config.get("mediaType") if isinstance(config, dict) else None
    if isinstance(artifact_type, str) and artifact_type:
        descriptor["artifactType"] = artifact_type
    annotations = document.get("annotations")
    if isinstance(annotations, dict) and annotations:
        descriptor["annotations"] = {key: value for key, value in annotations.items() if isinstance(value, str)}
    return descriptor
