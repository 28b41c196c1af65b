"""Rows of the lists of images and tags, as texts for ``console.web.fragments``."""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.images.attached import Attached
from console.images.commands import manifest_commands
from console.images.tags import Platform
from console.repositories.models import Image, Manifest, Tag
from console.repositories.models.image import address_in_registry
from console.web.excerpts import shorten
from console.web.fast_urls import address_of
from console.web.templatetags.console import moment, number, short_digest, size

# Longest platform, in characters.
_LONGEST = 40
# Number of platforms in a row; the rest is only counted.
_PLATFORMS_SHOWN = 3


class ShownImage(NamedTuple):
    """An image in the list, with the user's star: columns of a query, or attributes of an image."""

    pk: int
    full_name: str
    state: str
    visibility: str
    tag_count: int
    size: int
    last_push_at: datetime.datetime | None
    created_at: datetime.datetime
    star_count: int
    starred: bool

    @classmethod
    def of(cls, image: Image) -> ShownImage:
        """From ``image``, whose ``starred`` must be set (``console.stars.services.mark``)."""
        return cls(*[getattr(image, name) for name in cls._fields])


def image_row(image: ShownImage) -> dict[str, Any]:
    """The texts of an image's row, without its star."""
    repository = image.full_name
    namespace, _slash, name = repository.partition("/")
    return {
        "key": str(image.pk),
        "repository": repository,
        "name": name,
        "namespace": namespace,
        "public": image.visibility == Image.Visibility.PUBLIC,
        "type": str(Image.Visibility(image.visibility).label),
        "address": address_in_registry(repository),
        "page": address_of("image", repository),
        "delete": address_of("image-delete", repository),
        "tags": number(image.tag_count),
        "size": size(image.size),
        "pushed": moment(image.last_push_at),
        "created": moment(image.created_at),
    }


def tag_row(image: Image, tag: Tag) -> dict[str, Any]:
    """The texts of a tag's row; its manifest must be decorated (``console.images.tags.decorate``)."""
    manifest, repository = tag.manifest, image.repository
    page = address_of("tag", repository, tag.name)
    return {
        "name": tag.name,
        "page": page,
        "missing": tag.missing_at is not None,
        "deleting": tag.state == Tag.State.DELETING,
        "problem": tag.problem,
        "image_deleting": image.state == Image.State.DELETING,
        "attached": _attached(repository, manifest),
        "digest": manifest.digest,
        "short_digest": short_digest(manifest.digest),
        "artifact": manifest.kind == Manifest.Kind.ARTIFACT,
        "kind": manifest.kind_name,
        "artifact_type": manifest.artifact_type,
        "platforms": [shorten(one, _LONGEST) for one in manifest.platforms[:_PLATFORMS_SHOWN]],
        "more": f"+{len(manifest.platforms) - _PLATFORMS_SHOWN}" if len(manifest.platforms) > _PLATFORMS_SHOWN else "",
        "children": [_child(page, child) for child in manifest.children_shown],  # type: ignore[attr-defined]
        "children_more": _more(manifest.children_more),  # type: ignore[attr-defined]
        "children_page": address_of("manifest-part", repository, manifest.digest, "platforms"),
        "manifests": _counted(manifest.shown_count),
        "size": size(manifest.size),
        "pushed": moment(tag.pushed_at),
        "pushed_by": tag.pushed_by,
        "last_pull": moment(tag.last_pull),  # type: ignore[attr-defined]
        "pulls": number(tag.pulls),  # type: ignore[attr-defined]
        "command": manifest_commands(repository, manifest, tag.name, tag.subject)[0].text,
        "copy": address_of("tag-copy", repository, tag.name),
        "delete": f"{address_of('tags-delete', repository)}?tag={quote(tag.name)}",
    }


def _counted(count: int) -> str:
    return ngettext("%(number)s manifest", "%(number)s manifests", count) % {"number": number(count)}


def _more(count: int) -> str:
    return _("and %(number)s more") % {"number": number(count)} if count else ""


def _counted_attachments(attached: Attached) -> str:
    count = len(attached)
    return ngettext("%(number)s attached", "%(number)s attached", count) % {"number": number(count)} if count else ""


def _attached(repository: str, manifest: Manifest) -> dict[str, Any]:
    attached: Attached = manifest.attached  # type: ignore[attr-defined]
    return {
        "count": _counted_attachments(attached),
        "first": attached.rows[0].digest if attached.rows else "",
        "more": _more(attached.more),
        "page": address_of("manifest-part", repository, manifest.digest, "attached"),
        "all": [
            {
                "kind": one.kind,
                "digest": one.digest,
                "page": address_of("manifest", repository, one.digest),
                "size": size(one.size),
            }
            for one in attached.rows
        ],
    }


def _child(page: str, child: Platform) -> dict[str, Any]:
    platform = shorten(child.platform, _LONGEST)
    return {
        "platform": platform,
        "digest": child.digest,
        "page": f"{page}?platform={quote(child.digest)}",
        "label": _("Copy digest of %(platform)s") % {"platform": platform},
        "size": "" if child.size is None else size(child.size),
        "attached": _counted_attachments(child.attached),
    }
