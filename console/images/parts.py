"""Pages for the long lists of a manifest: layers, history, labels, children."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db import connection
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from console.images import config_details
from console.images.attached import AllAttached
from console.images.tags import Platform
from console.repositories.models import Image, Manifest, Tag

# User input takes up to 12 kB of HTML for an entry, twice that for a pair: at most 1 MB a page.
PAGE_SIZE = 40


class _Children:
    """The children of an index, in its order."""

    def __init__(self, image: Image, manifest: Manifest) -> None:
        self._image, self._manifest = image, manifest

    def count(self) -> int:
        return int(self._manifest.child_count)

    def __getitem__(self, rows: slice) -> list[Platform]:
        with connection.cursor() as cursor:
            cursor.execute(_CHILDREN, [rows.start, rows.stop - 1, self._manifest.pk])
            return [Platform(platform or "–", digest, size) for platform, digest, size in cursor.fetchall()]


_CHILDREN = """
SELECT child.entry ->> 'platform', child.entry ->> 'digest', known.size
FROM images_manifest AS manifest
CROSS JOIN LATERAL jsonb_path_query(
    manifest.children, '$[$first to $last]', jsonb_build_object('first', %s::int, 'last', %s::int)
) WITH ORDINALITY AS child (entry, at)
LEFT JOIN images_manifest AS known
    ON known.image_id = manifest.image_id AND known.digest = child.entry ->> 'digest'
WHERE manifest.id = %s ORDER BY child.at
"""


class _Listed:
    """A complete list; the rows of a page are cut."""

    def __init__(self, rows: Sequence[Any], show: Callable[[Any], Any]) -> None:
        self._rows, self._show = rows, show

    def count(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice) -> list[Any]:
        return list(map(self._show, self._rows[rows]))


@dataclass(frozen=True)
class Part:
    """A list with its own pages: its title, and the columns of its rows (``images/_part.html``)."""

    title: str | Promise
    kind: str = "lines"


PARTS = {
    "platforms": Part(_("Platforms and attestations"), "manifests"),
    "attached": Part(_("Attached"), "attachments"),
    "tags": Part(_("Tags"), "tags"),
    "layers": Part(_("Layers and history"), "steps"),
    "labels": Part(_("Labels")),
    "annotations": Part(_("Annotations")),
    "entrypoint": Part(_("Entrypoint")),
    "command": Part(_("Command")),
    "ports": Part(_("Ports")),
    "volumes": Part(_("Volumes")),
    "environment": Part(_("Environment")),
    "keywords": Part(_("Keywords")),
    "sources": Part(_("Sources")),
    "maintainers": Part(_("Maintainers")),
    "dependencies": Part(_("Dependencies")),
}


def part_page(image: Image, manifest: Manifest, name: str, number: str) -> Page[Any]:
    """One page of the part ``name`` of ``PARTS``; the nearest existing page for an invalid ``number``."""
    return Paginator(_rows(image, manifest, name), PAGE_SIZE).get_page(number)


def _rows(image: Image, manifest: Manifest, name: str) -> Any:
    if name == "tags":
        return Tag.objects.filter(manifest=manifest).order_by("sort_key").values_list("name", flat=True)
    if name == "platforms":
        return _Children(image, manifest)
    if name == "attached":
        return AllAttached(image, manifest.digest)
    found = config_details.read_details(manifest)
    if found is None:
        return _Listed([], str)
    if name == "layers":
        return _Listed(found.steps, config_details.short_step)
    return _Listed(found.lists.get(name, []), config_details.short_line)
