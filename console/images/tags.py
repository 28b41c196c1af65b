"""What the pages show of an image's tags and manifests: all of it from the index."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db.models import DateTimeField, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Greatest
from django.http import QueryDict

from console import foreign_layers
from console.database.compiled import Compiled
from console.images.clients import Known
from console.images.commands import helm_version
from console.images.media_types import BUILD_CACHE, HELM_CHART
from console.images.models import Document, Image, Manifest, Tag
from console.pages.paging import KeysetPage, keyset, keyset_order, sort_name
from registry_client import Descriptor, MalformedManifest
from registry_client import Manifest as RegistryManifest

_NEVER = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# Pulls by tag, and those by the digest that it points at: clients resolve a tag first and then fetch the digest.
PULLS = F("pull_count") + F("manifest__pull_count")
LAST_PULL = Greatest(F("last_pull_at"), F("manifest__last_pull_at"), output_field=DateTimeField())
# Tags are asked for by so many digests at a time, or a multiple.
_DIGESTS = 32
TAG_SORTS: dict[str, tuple[Any, type]] = {
    "name": ("sort_key", str),
    "size": ("manifest__size", int),
    "pushed": ("pushed_at", datetime.datetime),
    "pulls": (PULLS, int),
    "last-pull": (Coalesce(LAST_PULL, Value(_NEVER), output_field=DateTimeField()), datetime.datetime),
}


def shown_tags(image: Image) -> QuerySet[Tag]:
    """The tags that stand in the list: those that are about another manifest of the image stand under it."""
    about = Manifest.objects.filter(image=image, digest=OuterRef("subject"))
    return all_tags(image).filter(Q(subject="") | ~Exists(about))


def all_tags(image: Image) -> QuerySet[Tag]:
    """All tags, those included that stand under another one, with what they point at and how often that was pulled."""
    tags = Tag.objects.filter(image=image).select_related("manifest")
    return tags.annotate(pulls=PULLS, last_pull=LAST_PULL)


def tag_named(image: Image, name: str) -> Tag | None:
    """The image's tag of this name, if there is one, as ``all_tags`` has it."""
    return next(iter(_tags_named(image.pk, name)), None)


@Compiled
def _tags_named(image: int, name: str) -> QuerySet[Tag]:
    return all_tags(Image(pk=image)).filter(name=name).order_by()


def names_of(manifest: Manifest, most: int) -> list[str]:
    """The names of the tags that point at the manifest, the first ``most`` of them."""
    return [name for (name,) in _names_of(manifest.pk, rows=slice(0, most))]


@Compiled
def _names_of(manifest: int) -> QuerySet[Tag, tuple[str]]:
    return Tag.objects.filter(manifest=manifest).order_by("sort_key").values_list("name")


def last_names(image: Image, most: int) -> list[str]:
    """The names of the last tags in the order of versions, the newest version first."""
    tags = Tag.objects.filter(image=image, subject="", state=Tag.State.ACTIVE)
    return list(tags.order_by("-sort_key").values_list("name", flat=True)[:most])


_IMAGE_KINDS = (Manifest.Kind.IMAGE, Manifest.Kind.INDEX)
# So many of the newest charts are looked through for one that Helm finds by its version.
_CHARTS = 20


def known_tags(image: Image) -> Known:
    """A tag of each kind of content that the image has, for commands that name one; at most four queries."""
    tags = Tag.objects.filter(image=image, subject="", state=Tag.State.ACTIVE, missing_at=None)
    newest = tags.order_by("-pushed_at", "-pk")
    images = newest.filter(manifest__kind__in=_IMAGE_KINDS).values_list("name", flat=True)
    artifacts = newest.filter(manifest__kind=Manifest.Kind.ARTIFACT, manifest__children=[])
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
class Attachment:
    """A tag or an untagged manifest that is about another one."""

    kind: str
    digest: str
    size: int
    tag: str = ""


@dataclass
class Platform:
    """A manifest that an index names."""

    platform: str
    digest: str
    size: int | None
    attachments: list[Attachment] = field(default_factory=list)


def tag_page(image: Image, query: QueryDict, text: str) -> tuple[KeysetPage[Tag], str]:
    """One page of the tags with their platforms and attachments, and the sort in force; a fixed number of queries."""
    sort = sort_name(query, TAG_SORTS, "-pushed")
    column, kind = TAG_SORTS[sort.removeprefix("-")]
    tags = shown_tags(image)
    total = image.tag_count
    if text:
        tags = tags.filter(name__icontains=text)
        total = tags.count()
    begin = None if text else partial(_first_tags, image.pk, shape=(sort,))
    rows = keyset(tags, query, column, kind, sort.startswith("-"), total, begin)
    decorate(image, [tag.manifest for tag in rows.rows])
    return rows, sort


@Compiled
def _first_tags(image: int, sort: str) -> QuerySet[Tag]:
    column, _kind = TAG_SORTS[sort.removeprefix("-")]
    return keyset_order(shown_tags(Image(pk=image)), column, sort.startswith("-"))


def decorate(image: Image, manifests: Iterable[Manifest]) -> None:
    """Give each manifest its ``children_shown`` and ``attachments``."""
    manifests = list(manifests)
    children = {digest for manifest in manifests for digest in manifest.child_digests}
    known = Manifest.objects.filter(image=image, digest__in=children).values_list("digest", "size")
    sizes: dict[str, int] = dict(known)
    attached = attachments(image, children | {manifest.digest for manifest in manifests})
    for manifest in manifests:
        manifest.children_shown = [  # type: ignore[attr-defined]
            Platform(
                child["platform"] or "–",
                child["digest"],
                sizes.get(child["digest"]),
                [*attached.get(child["digest"], []), *_attestations(manifest, child["digest"], sizes)],
            )
            for child in manifest.children
            if "about" not in child
        ]
        manifest.attachments = attached.get(manifest.digest, [])  # type: ignore[attr-defined]


def _attestations(index: Manifest, digest: str, sizes: dict[str, int]) -> list[Attachment]:
    """What BuildKit says of a platform, in the same index."""
    return [
        Attachment("attestation", child["digest"], sizes.get(child["digest"], 0))
        for child in index.children
        if child.get("about") == digest
    ]


@Compiled
def _tags_about(image: int, *digests: str) -> QuerySet[Tag]:
    return Tag.objects.filter(image=image, subject__in=digests).select_related("manifest").order_by("sort_key")


@Compiled
def _manifests_about(image: int, *digests: str) -> QuerySet[Manifest]:
    """What names one of these as its subject and has no tag."""
    return Manifest.objects.filter(image=image, subject__in=digests, tags=None).order_by("digest")


def attachments(image: Image, digests: Iterable[str]) -> dict[str, list[Attachment]]:
    """What is about these digests: tagged so, named by a list that is tagged so, or naming them as its subject.

    OCI distribution specification 1.1, "Listing Referrers" and "Referrers Tag Schema".
    """
    found: dict[str, list[Attachment]] = {}
    seen: set[tuple[str, str]] = set()
    lists: dict[str, str] = {}
    # Not another statement for each number of digests.
    asked = sorted(digests)
    asked += asked[-1:] * (-len(asked) % _DIGESTS)
    for tag in _tags_about(image.pk, *asked) if asked else ():
        if tag.manifest.children:
            lists.update(dict.fromkeys(tag.manifest.child_digests, tag.subject))
            continue
        seen.add((tag.subject, tag.manifest.digest))
        found.setdefault(tag.subject, []).append(_attachment(tag.manifest, tag.name))
    listed = Manifest.objects.filter(image=image, digest__in=lists).order_by("digest")
    named = _manifests_about(image.pk, *asked) if asked else []
    for manifest in (*listed, *named):
        subject = lists.get(manifest.digest) or manifest.subject
        if (subject, manifest.digest) not in seen:
            seen.add((subject, manifest.digest))
            found.setdefault(subject, []).append(_attachment(manifest))
    return found


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


def _attachment(manifest: Manifest, tag: str = "") -> Attachment:
    stem, _dot, suffix = tag.rpartition(".")
    kind = _KINDS_BY_TAG.get(suffix, "") if stem else ""
    if not kind:
        named = (name for start, name in _KINDS_BY_TYPE if manifest.artifact_type.startswith(start))
        # A manifest's media type says nothing of what is in it.
        kind = next(named, manifest.artifact_type or "artifact")
    return Attachment(kind, manifest.digest, manifest.size, tag)


# --- one manifest ---------------------------------------------------------------------------------------------------


@dataclass
class Step:
    """A step of an image's history, with the layer it made, if it made one."""

    command: str
    digest: str = ""
    size: int | None = None
    media_type: str = ""
    created: str = ""
    # Where clients download it from, of a foreign layer.
    elsewhere: str = ""


@dataclass
class Content:
    """What a manifest's page shows below its head."""

    config: dict[str, Any]
    steps: list[Step]
    # Pairs: a template would take a key named "items" for what a dict does.
    labels: list[tuple[str, Any]]
    annotations: list[tuple[str, str]]
    raw: str
    raw_size: int
    problem: str = ""


@Compiled
def _documents(digest: str) -> QuerySet[Document]:
    return Document.objects.filter(digest=digest).order_by()


# Longer manifests are shown in part, and given as a whole by a link.
_MOST_SHOWN = 64 << 10


def content(manifest: Manifest) -> Content | None:
    """Config, layers with the history that made them, and the raw manifest; ``None`` when it was not read yet.

    Of an index, the blobs that it names itself stand where an image's layers do.
    """
    document = next(iter(_documents(manifest.digest)), None)
    if document is None:
        return None
    whole = bytes(document.content)
    parsed = RegistryManifest("", document.digest, document.media_type, whole)
    steps, annotations, problem, blobs = [], [], "", set(manifest.blobs)
    labels = sorted((document.config.get("labels") or {}).items())
    try:
        layers = parsed.layers or tuple(entry for entry in parsed.entries if parsed.is_index and entry.digest in blobs)
        steps = _steps(layers, document.config.get("history", []))
        annotations = sorted(parsed.annotations.items())
    except MalformedManifest as error:
        problem = str(error)
    return Content(document.config, steps, labels, annotations, _pretty(whole), len(whole), problem)


def _steps(named: Iterable[Descriptor], history: list[dict[str, Any]]) -> list[Step]:
    """Each step of the history takes the next layer, unless it says that it made none."""
    layers = list(named)
    steps = []
    for entry in history:
        step = Step(entry.get("created_by") or entry.get("comment", ""), created=entry.get("created", ""))
        if not entry.get("empty") and layers:
            layer = layers.pop(0)
            _add_layer(step, layer)
        steps.append(step)
    return steps + [_add_layer(Step(""), layer) for layer in layers]


def _add_layer(step: Step, layer: Descriptor) -> Step:
    step.digest, step.size, step.media_type = layer.digest, layer.size, layer.media_type
    step.elsewhere = foreign_layers.host(layer) if layer.is_foreign else ""
    return step


def _pretty(whole: bytes) -> str:
    """The manifest for reading: indented if it is JSON, and cut if it is very long."""
    try:
        text = json.dumps(json.loads(whole), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = whole.decode("utf-8", "replace")
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "\n…"
