"""The list of an image's tags, read from the index."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from django.db.models import DateTimeField, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Greatest
from django.http import QueryDict

from console.database.compiled import Compiled
from console.images.attached import Attached, Attachment, first_attached
from console.images.clients import Known
from console.images.commands import helm_version
from console.repositories.converters import DigestConverter
from console.repositories.media_types import BUILD_CACHE, HELM_CHART
from console.repositories.models import Image, Manifest, Tag
from console.repositories.models.index import FIRST_CHILDREN
from console.web.keyset import KeysetPage, keyset
from console.web.sorting import sort_name

_NEVER = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# Pulls by tag and by digest: clients resolve a tag first, and then pull the digest.
PULLS = F("pull_count") + F("manifest__pull_count")
LAST_PULL = Greatest(F("last_pull_at"), F("manifest__last_pull_at"), output_field=DateTimeField())
_DIGEST = re.compile(DigestConverter.regex)
# Limits of children and attachments: for all rows of a page together, and for each row.
_MOST_CHILDREN, _MOST_ATTACHED, _FIRST_ATTACHED = 160, 100, 10
TAG_SORTS: dict[str, tuple[Any, type]] = {
    "name": ("sort_key", str),
    "size": ("manifest__size", int),
    "pushed": ("pushed_at", datetime.datetime),
    "pulls": (PULLS, int),
    "last-pull": (Coalesce(LAST_PULL, Value(_NEVER), output_field=DateTimeField()), datetime.datetime),
}


def shown_tags(image: Image) -> QuerySet[Tag]:
    """The tags in the list, without those that are shown under their subject."""
    return without_attached(all_tags(image), image)


def without_attached(tags: QuerySet[Tag], image: Image | OuterRef) -> QuerySet[Tag]:
    """Those of ``tags`` that are not shown under their subject.

    :param image: the image of all of them, or ``OuterRef("image")``.
    """
    about = Manifest.objects.filter(image=image, digest=OuterRef("subject"))
    return tags.filter(Q(subject="") | ~Exists(about))


def tags_matching(tags: QuerySet[Tag], text: str) -> QuerySet[Tag]:
    """Those of ``tags`` whose name contains ``text``, case-insensitively."""
    return tags.filter(name__icontains=text)


def all_tags(image: Image) -> QuerySet[Tag]:
    """All tags, including those that are shown under their subject, with their manifests and pull counts."""
    # The deferred columns can be megabytes long.
    tags = Tag.objects.filter(image=image).select_related("manifest").defer("manifest__children", "manifest__blobs")
    return tags.annotate(pulls=PULLS, last_pull=LAST_PULL)


def tag_named(image: Image, name: str) -> Tag | None:
    """The image's tag of this name, like ``all_tags``; ``None`` if it does not exist."""
    return next(iter(_tags_named(image.pk, name)), None)


@Compiled
def _tags_named(image: int, name: str) -> QuerySet[Tag]:
    return all_tags(Image(pk=image)).filter(name=name).order_by()


def names_of(manifest: Manifest, most: int) -> list[str]:
    """The first ``most`` names of the manifest's tags."""
    return list(Tag.objects.filter(manifest=manifest).order_by("sort_key").values_list("name", flat=True)[:most])


def names(manifest: Manifest, digest: str) -> bool:
    """Whether the manifest is an index that names this digest; needs a query if it is not among the first."""
    if any(child["digest"] == digest for child in manifest.first_children):
        return True
    if not _DIGEST.fullmatch(digest) or manifest.child_count == len(manifest.first_children):
        return False
    return Manifest.objects.filter(pk=manifest.pk, children__contains=[{"digest": digest}]).exists()


def last_names(image: Image, most: int) -> list[str]:
    """The names of the tags with the highest versions, the newest version first."""
    tags = Tag.objects.filter(image=image, subject="", state=Tag.State.ACTIVE)
    return list(tags.order_by("-sort_key").values_list("name", flat=True)[:most])


def latest_tags(image: Image, most: int) -> list[Tag]:
    """The tags that were pushed last, the newest first, without those that stand under another one."""
    return list(shown_tags(image).filter(state=Tag.State.ACTIVE).order_by("-pushed_at", "-pk")[:most])


def tag_to_pull(image: Image) -> Tag | None:
    """The tag that a pull command names: ``latest``, or the newest where there is none of that name."""
    there = shown_tags(image).filter(state=Tag.State.ACTIVE, missing_at=None)
    return there.filter(name="latest").first() or there.order_by("-pushed_at", "-pk").first()


_IMAGE_KINDS = (Manifest.Kind.IMAGE, Manifest.Kind.INDEX)
# Limit of the newest charts that are searched for one whose tag is a version.
_CHARTS = 20


def known_tags(image: Image) -> Known:
    """A tag of each kind of content in the image, for the commands; at most four queries."""
    tags = Tag.objects.filter(image=image, subject="", state=Tag.State.ACTIVE, missing_at=None)
    newest = tags.order_by("-pushed_at", "-pk")
    images = newest.filter(manifest__kind__in=_IMAGE_KINDS).values_list("name", flat=True)
    artifacts = newest.filter(manifest__kind=Manifest.Kind.ARTIFACT, manifest__child_count=0)
    charts = artifacts.filter(manifest__artifact_type=HELM_CHART).values_list("name", "manifest__digest")
    others = artifacts.exclude(manifest__artifact_type__in=(HELM_CHART, BUILD_CACHE)).values_list("name", flat=True)
    found = list(charts[:_CHARTS])
    chart, digest = next((one for one in found if helm_version(one[0])), found[0] if found else ("", ""))
    return Known(
        image=images.filter(name="latest").first() or images.first() or "",
        chart=chart,
        artifact=others.first() or "",
        digest=digest,
    )


@dataclass
class Platform:
    """A child of an index."""

    platform: str
    digest: str
    size: int | None
    attached: Attached = field(default_factory=Attached)


def tag_page(image: Image, query: QueryDict, text: str) -> tuple[KeysetPage[Tag], str]:
    """One page of the tags with platforms and attachments, and the sort in use; a fixed number of queries."""
    sort = sort_name(query, TAG_SORTS, "-pushed")
    column, kind = TAG_SORTS[sort.removeprefix("-")]
    tags = shown_tags(image)
    total = image.tag_count
    if text:
        tags = tags_matching(tags, text)
        total = tags.count()
    rows = keyset(tags, query, column, kind, sort.startswith("-"), total)
    decorate(image, [tag.manifest for tag in rows.rows])
    return rows, sort


def decorate(image: Image, manifests: Collection[Manifest]) -> None:
    """Set further attributes on each manifest for pages, with two or three queries for all of them.

    ``children_shown``: its first children; ``children_more``: how many more there are; ``attached``: its attachments.
    The more rows a page has, the fewer children and attachments each shows.
    """
    most_children = min(FIRST_CHILDREN, _MOST_CHILDREN // max(len(manifests), 1))
    most_attached = min(_FIRST_ATTACHED, _MOST_ATTACHED // max(len(manifests), 1))
    shown = {manifest.pk: manifest.first_children[:most_children] for manifest in manifests}
    children = {child["digest"] for first in shown.values() for child in first}
    attestation_digests = {child["digest"] for manifest in manifests for child in manifest.first_attestations}
    known = Manifest.objects.filter(image=image, digest__in=children | attestation_digests).values_list(
        "digest", "size"
    )
    sizes: dict[str, int] = dict(known)
    attached = first_attached(image, children | {manifest.digest for manifest in manifests}, most_attached)
    for manifest in manifests:
        attestations = _attestations(manifest, sizes)
        manifest.children_shown = [  # type: ignore[attr-defined]
            Platform(
                child["platform"] or "–",
                child["digest"],
                sizes.get(child["digest"]),
                _with(attached.get(child["digest"]), attestations.get(child["digest"], []), most_attached),
            )
            for child in shown[manifest.pk]
        ]
        manifest.children_more = manifest.shown_count - len(shown[manifest.pk])  # type: ignore[attr-defined]
        manifest.attached = attached.get(manifest.digest, Attached())  # type: ignore[attr-defined]


def _attestations(index: Manifest, sizes: dict[str, int]) -> dict[str, list[Attachment]]:
    """BuildKit's attestations of platforms in the same index."""
    found: dict[str, list[Attachment]] = {}
    for child in index.first_attestations:
        this = Attachment("attestation", child["digest"], sizes.get(child["digest"], 0))
        found.setdefault(child["about"], []).append(this)
    return found


def _with(attached: Attached | None, attestations: list[Attachment], most: int) -> Attached:
    rows = [*(attached.rows if attached else ()), *attestations]
    return Attached(rows[:most], len(rows[most:]) + (attached.more if attached else 0))
