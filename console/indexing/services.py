"""Reading the registry's present answer for one tag, one manifest or one image, and writing it down.

The index is level-triggered: whatever made somebody look (a notification, early, late or repeated; a reconcile),
what is written is what the registry says now.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.utils import timezone

from console.audit.services import record
from console.images.deletion import TOMBSTONE_DIGEST
from console.images.models import Image, Manifest, Tag
from console.images.totals import refresh_totals
from console.namespaces.models import Namespace
from console.policy import split_repository
from console.registry import registry
from registry_client import MalformedManifest, ManifestUnknown, NameUnknown, NotFound
from registry_client import Manifest as RegistryManifest

log = logging.getLogger(__name__)


def find_image(repository: str) -> Image | None:
    """The image with this repository's name, or ``None``."""
    parts = split_repository(repository)
    if parts is None:
        return None
    return Image.objects.select_related("namespace").filter(namespace__name=parts[0], name=parts[1]).first()


def _image_for_push(repository: str, pushed_by: str) -> Image | None:
    """The image of a repository that holds something, made when its owner pushed to a name that nobody created."""
    image = find_image(repository)
    parts = split_repository(repository)
    if image is not None or parts is None:
        return image
    namespace = Namespace.objects.filter(name=parts[0]).first()
    if namespace is None:
        return None
    try:
        with transaction.atomic():
            image = Image.objects.create(namespace=namespace, name=parts[1])
            record("image.create", repository, actor=pushed_by or "registry", by="push")
    except IntegrityError:
        image = find_image(repository)
    return image


def reread_tag(repository: str, tag: str, *, pushed_at: datetime.datetime | None = None, pushed_by: str = "") -> None:
    """Bring one tag's row in line with the registry.

    :param pushed_at: when the push happened that made us look, where there was one.
    :param pushed_by: the user name that pushed.
    :raises registry_client.RegistryError: when the registry cannot be asked; nothing is changed then.
    """
    try:
        present = registry().manifest(repository, tag)
    except (ManifestUnknown, NameUnknown):
        _forget_tag(repository, tag)
        return
    if present.digest == TOMBSTONE_DIGEST:
        return  # a deletion is at work on it, and will look again when it has ended
    image = _image_for_push(repository, pushed_by)
    if image is None:
        log.warning("%s:%s is in the registry, but nobody owns its namespace", repository, tag)
        return
    if image.state == Image.State.DELETING:
        return
    size, children = _measure(repository, present)
    moment = pushed_at or timezone.now()
    with transaction.atomic():
        # The row's lock keeps a deletion that starts meanwhile from losing sight of this tag.
        locked = Image.objects.select_for_update(of=("self",)).filter(pk=image.pk, state=Image.State.ACTIVE).first()
        if locked is None:
            return
        for child in children:
            _store_manifest(image, child, child.total_size)
        manifest = _store_manifest(image, present, size)
        row = Tag.objects.filter(image=image, name=tag).select_related("manifest").first()
        if row is None:
            Tag.objects.create(image=image, name=tag, manifest=manifest, pushed_at=moment, pushed_by=pushed_by)
        else:
            moved = row.manifest_id != manifest.pk
            row.manifest = manifest
            if moved or (pushed_at is not None and pushed_at > row.pushed_at):
                row.pushed_at, row.pushed_by = moment, pushed_by
            if moved:
                row.state, row.problem = Tag.State.ACTIVE, ""
            row.save()
        refresh_totals(image.pk)


def _forget_tag(repository: str, tag: str) -> None:
    image = find_image(repository)
    if image is None or image.state == Image.State.DELETING:
        return
    with transaction.atomic():
        deleted, _rows = Tag.objects.filter(image=image, name=tag).delete()
        if deleted:
            refresh_totals(image.pk)


def _measure(repository: str, manifest: RegistryManifest) -> tuple[int, list[RegistryManifest]]:
    """What a pull of all platforms transfers, in bytes, and the manifests of an index that the registry has."""
    if not manifest.is_index:
        return _total_size(manifest), []
    children, total = [], 0
    for reference in manifest.children:
        try:
            child = registry().manifest(repository, reference.digest)
            child_total = child.total_size
        except (NotFound, MalformedManifest):
            continue
        children.append(child)
        total += child_total
    return total, children


def _total_size(manifest: RegistryManifest) -> int:
    try:
        return manifest.total_size
    except MalformedManifest:
        return 0


def _store_manifest(image: Image, manifest: RegistryManifest, size: int) -> Manifest:
    try:
        children = [child.digest for child in manifest.children] if manifest.is_index else []
        blobs = [] if manifest.is_index else list(manifest.references)
        platforms = [str(child.platform) for child in manifest.children if child.platform] if manifest.is_index else []
    except MalformedManifest:
        children, blobs, platforms = [], [], []
    row, _created = Manifest.objects.update_or_create(
        image=image,
        digest=manifest.digest,
        defaults={
            "media_type": manifest.media_type[:200],
            "size": size,
            "children": children,
            "blobs": blobs,
            "platforms": platforms,
        },
    )
    return row


def reread_image(repository: str) -> None:
    """Bring all tags of one repository in line with the registry, its image's row included.

    :raises registry_client.RegistryError: when the registry cannot be asked.
    """
    try:
        present: Iterable[str] = registry().tags(repository)
    except NameUnknown:
        present = []
    image = find_image(repository)
    known = set(Tag.objects.filter(image=image).values_list("name", flat=True)) if image else set()
    for tag in sorted(known | set(present)):
        reread_tag(repository, tag)
