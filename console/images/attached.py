"""Referrers (attachments) of a manifest: signatures, attestations, SBOMs, and others with it as their subject.

By their tag, by an index with such a tag, or by their ``subject`` (OCI distribution specification 1.1, "Listing
Referrers" and "Referrers Tag Schema"). Their number is not limited, so lists show only the first ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from console.repositories.models import Image, Manifest
from console.web.excerpts import shorten


@dataclass
class Attachment:
    """A tag or an untagged manifest whose subject is another manifest."""

    kind: str
    digest: str
    size: int
    tag: str = ""


@dataclass
class Attached:
    """The first attachments of a manifest, and how many more it has."""

    rows: list[Attachment] = field(default_factory=list)
    more: int = 0

    def __len__(self) -> int:
        """How many there are, including those that are not shown."""
        return len(self.rows) + self.more


# For each digest the first tags with this subject, and the first untagged manifests; no more rows of either are read.
_ABOUT = """
SELECT asked.subject, about.* FROM unnest(%(digests)s::text[]) AS asked (subject)
CROSS JOIN LATERAL (
    (
        SELECT tag.name, manifest.digest, manifest.size, manifest.artifact_type, manifest.child_count,
            jsonb_path_query_array(manifest.first_children, '$[*].digest') AS children, count(*) OVER () AS total
        FROM images_tag AS tag JOIN images_manifest AS manifest ON manifest.id = tag.manifest_id
        WHERE tag.image_id = %(image)s AND tag.subject <> '' AND tag.subject = asked.subject
        ORDER BY tag.sort_key, tag.id LIMIT %(most)s
    ) UNION ALL (
        SELECT '', manifest.digest, manifest.size, manifest.artifact_type, 0, '[]'::jsonb, count(*) OVER ()
        FROM images_manifest AS manifest
        WHERE manifest.image_id = %(image)s AND manifest.subject <> '' AND manifest.subject = asked.subject
            AND NOT EXISTS (SELECT FROM images_tag AS tag WHERE tag.manifest_id = manifest.id)
        ORDER BY manifest.digest LIMIT %(most)s
    )
) AS about
"""
_LISTED = """
SELECT digest, size, artifact_type FROM images_manifest WHERE image_id = %s AND digest = ANY(%s::text[]) ORDER BY digest
"""


def first_attached(image: Image, digests: Collection[str], most: int) -> dict[str, Attached]:
    """The first ``most`` attachments of each digest that has any; one query, two if there are referrers indexes."""
    found: dict[str, Attached] = {}
    lists: dict[str, list[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_ABOUT, {"image": image.pk, "digests": sorted(digests), "most": most})
        counted: set[tuple[str, bool]] = set()
        for subject, tag, digest, size, artifact_type, children, named, total in cursor.fetchall():
            this = found.setdefault(subject, Attached())
            if (subject, bool(tag)) not in counted:
                counted.add((subject, bool(tag)))
                this.more += total
            if children:
                lists.setdefault(subject, []).extend(named)
                this.more += children - 1
            else:
                _add(this, Attachment(kind_of(artifact_type, tag), digest, size, tag))
        if lists:
            cursor.execute(_LISTED, [image.pk, sorted({digest for named in lists.values() for digest in named})])
            rows = {digest: (size, artifact_type) for digest, size, artifact_type in cursor.fetchall()}
            for subject, named in lists.items():
                for digest in named:
                    if digest in rows:
                        size, artifact_type = rows[digest]
                        _add(found[subject], Attachment(kind_of(artifact_type), digest, size))
                    else:
                        found[subject].more -= 1
    for this in found.values():
        this.more += max(len(this.rows) - most, 0)
        del this.rows[most:]
    return found


def _add(to: Attached, one: Attachment) -> None:
    """Move an attachment from the counted to the shown ones, unless it is shown already."""
    to.more -= 1
    if one.tag or all(one.digest != other.digest for other in to.rows):
        to.rows.append(one)


_NUMBER = """
WITH going AS (
    SELECT DISTINCT unnest(manifest.digest || ARRAY(
        SELECT child ->> 'digest' FROM jsonb_array_elements(manifest.children) AS child
    )::text[]) AS digest
    FROM images_manifest AS manifest WHERE manifest.id = ANY(%(manifests)s)
)
SELECT
    (
        SELECT count(*) FROM images_tag
        WHERE image_id = %(image)s AND subject <> '' AND subject IN (SELECT digest FROM going)
            AND name <> ALL(%(names)s)
    ) + (
        SELECT count(*) FROM images_manifest AS manifest
        WHERE image_id = %(image)s AND subject <> '' AND subject IN (SELECT digest FROM going)
            AND NOT EXISTS (SELECT FROM images_tag AS tag WHERE tag.manifest_id = manifest.id)
    )
"""


def number_attached(image: Image, manifests: Iterable[Manifest], names: Iterable[str]) -> int:
    """Number of attachments of these manifests and their children, without tags of these names."""
    values: dict[str, Any] = {"image": image.pk, "manifests": [one.pk for one in manifests], "names": list(names)}
    with connection.cursor() as cursor:
        cursor.execute(_NUMBER, values)
        return int(cursor.fetchone()[0])


_PAGE = """
WITH tagged AS (
    SELECT tag.name, manifest.digest, manifest.size, manifest.artifact_type, manifest.children
    FROM images_tag AS tag JOIN images_manifest AS manifest ON manifest.id = tag.manifest_id
    WHERE tag.image_id = %(image)s AND tag.subject <> '' AND tag.subject = %(digest)s
), every AS (
    SELECT name, digest, size, artifact_type FROM tagged WHERE jsonb_array_length(children) = 0
    UNION ALL
    SELECT '', manifest.digest, manifest.size, manifest.artifact_type
    FROM (SELECT DISTINCT jsonb_path_query(children, '$[*].digest') #>> '{}' AS digest FROM tagged) AS listed
    JOIN images_manifest AS manifest ON manifest.image_id = %(image)s AND manifest.digest = listed.digest
    UNION ALL
    SELECT '', digest, size, artifact_type FROM images_manifest
    WHERE image_id = %(image)s AND subject <> '' AND subject = %(digest)s
)
SELECT DISTINCT ON (digest) digest, name, size, artifact_type FROM every ORDER BY digest, name DESC
"""


class AllAttached:
    """All attachments of one manifest, each digest once, sorted by digest; for ``django.core.paginator.Paginator``."""

    def __init__(self, image: Image, digest: str) -> None:
        self._asked: dict[str, int | str] = {"image": image.pk, "digest": digest}

    def count(self) -> int:
        """How many there are."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM ({_PAGE}) AS every", self._asked)  # noqa: S608  # nosec B608
            return int(cursor.fetchone()[0])

    def __getitem__(self, rows: slice) -> list[Attachment]:
        """The attachments of one page."""
        with connection.cursor() as cursor:
            asked = self._asked | {"limit": rows.stop - rows.start, "offset": rows.start}
            cursor.execute(f"{_PAGE} LIMIT %(limit)s OFFSET %(offset)s", asked)
            return [
                Attachment(kind_of(artifact_type, tag), digest, size, tag)
                for digest, tag, size, artifact_type in cursor.fetchall()
            ]


# Longest unknown type, in characters; it may be any text.
_LONGEST_KIND = 40
# cosign's tags, then the types that signing, scanning and building tools write.
_KINDS_BY_TAG = {"sig": "signature", "att": "attestation", "sbom": "SBOM"}
_KINDS_BY_TYPE = (
    ("application/vnd.dev.cosign.artifact.sig.", "signature"),
    ("application/vnd.dev.cosign.artifact.att.", "attestation"),
    ("application/vnd.dev.cosign.artifact.sbom.", "SBOM"),
    ("application/vnd.dev.sigstore.bundle", "signature"),
    ("application/vnd.cncf.notary.signature", "signature"),
    ("application/vnd.in-toto+json", "attestation"),
    ("application/spdx+json", "SBOM"),
    ("text/spdx", "SBOM"),
    ("application/vnd.cyclonedx", "SBOM"),
    ("application/vnd.syft+json", "SBOM"),
)


def kind_of(artifact_type: str, tag: str = "") -> str:
    """The name of an attachment's kind, by its tag, else by its artifact type."""
    stem, _dot, suffix = tag.rpartition(".")
    kind = _KINDS_BY_TAG.get(suffix, "") if stem else ""
    if kind:
        return kind
    named = (name for start, name in _KINDS_BY_TYPE if artifact_type.startswith(start))
    # A manifest's media type says nothing about its content.
    return next(named, shorten(artifact_type, _LONGEST_KIND) or "artifact")
