"""Rows of the lists of images and tags, as texts for ``console.web.fragments``."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.access.roles import Role, allows
from console.images.attached import Attached
from console.images.commands import manifest_commands
from console.images.tags import Platform
from console.membership.models import RoleName
from console.repositories.models import Image, Manifest, Tag
from console.repositories.models.image import address_in_registry
from console.web.excerpts import shorten
from console.web.fast_urls import address_of
from console.web.templatetags.console import (
    ago,
    breakable,
    day,
    number,
    relative_time,
    short_digest,
    size,
)

# Longest platform, in characters.
_LONGEST = 40
# Platforms that a tag's row names on hover.
_PLATFORMS_SHOWN = 5


class ShownImage(NamedTuple):
    """An image in the list, with the user's star: columns of a query, or attributes of an image.

    ``shared_by`` is the owner's name on an image of somebody else, ``role`` the reader's role on it.
    """

    pk: int
    full_name: str
    state: str
    visibility: str
    tag_count: int
    size: int
    pull_count: int
    last_push_at: datetime.datetime | None
    created_at: datetime.datetime
    star_count: int
    starred: bool
    summary: str
    shared_by: str = ""
    role: Role = Role.OWNER

    @classmethod
    def of(cls, image: Image, shared_by: str = "", role: Role = Role.OWNER) -> ShownImage:
        """From ``image``, whose ``starred`` must be set (``console.stars.services.mark``)."""
        columns = {name: getattr(image, name) for name in IMAGE_COLUMNS}
        return cls(**columns, shared_by=shared_by, role=role)


# What a list reads of each image.
IMAGE_COLUMNS = ShownImage._fields[:-2]


def image_row(image: ShownImage, pushed: str) -> dict[str, Any]:
    """The texts of an image's row, without its star.

    :param pushed: how long ago the last push was, in words.
    """
    repository = image.full_name
    namespace, _slash, name = repository.partition("/")
    return {
        "key": str(image.pk),
        "repository": repository,
        "name": breakable(name),
        "summary": image.summary,
        "shared": _shared(image),
        "may_edit": allows(image.role, "image.edit"),
        "may_delete": allows(image.role, "image.delete"),
        "namespace": namespace,
        "public": image.visibility == Image.Visibility.PUBLIC,
        "type": str(Image.Visibility(image.visibility).label),
        "address": address_in_registry(repository),
        "page": address_of("image", repository),
        "of_namespace": address_of("namespace", namespace),
        "change_type": address_of("image-visibility", repository),
        "delete": address_of("image-delete", repository),
        "tags": number(image.tag_count),
        "tags_unit": ngettext("tag", "tags", image.tag_count),
        "size": size(image.size),
        "pulls": number(image.pull_count),
        "pulls_unit": ngettext("pull", "pulls", image.pull_count),
        "pushed": relative_time(image.last_push_at, pushed),
        "never_pushed": image.last_push_at is None,
        "created": day(image.created_at),
    }


def _shared(image: ShownImage) -> str:
    """By whom an image is shared, and the reader's role on it; empty for the reader's own."""
    if not image.shared_by:
        return ""
    role = str(RoleName(image.role).label)
    return _("Shared by %(owner)s · %(role)s") % {"owner": image.shared_by, "role": role}


def tag_row(image: Image, tag: Tag, people: Mapping[str, str]) -> dict[str, Any]:
    """The texts of a tag's row; its manifest must be decorated (``console.images.tags.decorate``).

    :param people: the names of the accounts that pushed, by their user names at the registry.
    """
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
        "platforms": ", ".join(shorten(one, _LONGEST) for one in manifest.platforms[:_PLATFORMS_SHOWN]),
        "count": platform_count(manifest),
        "children": [_child(page, child) for child in manifest.children_shown],  # type: ignore[attr-defined]
        "children_more": _more(manifest.children_more),  # type: ignore[attr-defined]
        "children_page": address_of("manifest-part", repository, manifest.digest, "platforms"),
        "size": size(manifest.size),
        "pushed": ago(tag.pushed_at),
        "pushed_by": people.get(tag.pushed_by, tag.pushed_by),
        "pushed_as": tag.pushed_by,
        "last_pull": ago(tag.last_pull),  # type: ignore[attr-defined]
        "pulls": number(tag.pulls),  # type: ignore[attr-defined]
        "command": manifest_commands(repository, manifest, tag.name, tag.subject)[0].text,
        "copy": address_of("tag-copy", repository, tag.name),
        "delete": f"{address_of('tags-delete', repository)}?tag={quote(tag.name)}",
    }


def platform_count(manifest: Manifest) -> str:
    """An image's only platform by its name, several in number; an index that names none counts its manifests."""
    count = len(manifest.platforms)
    if manifest.kind != Manifest.Kind.INDEX and count == 1:
        return shorten(manifest.platforms[0], _LONGEST)
    if count:
        return ngettext("%(number)s platform", "%(number)s platforms", count) % {"number": number(count)}
    shown = manifest.shown_count
    return ngettext("%(number)s manifest", "%(number)s manifests", shown) % {"number": number(shown)}


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
