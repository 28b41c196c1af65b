"""Copying a tag within an image, or to another image of one's own, without moving a byte.

Blobs are mounted from the source (Distribution, "Cross Repository Blob Mount"), then the manifests are put, children
before the index that names them: the copy has the same digest, all platforms included. Every step can be done again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.utils import timezone

from console import foreign_layers, policy
from console.accounts.models import Account
from console.audit.services import record
from console.images import pushed
from console.images.locks import image_locked
from console.images.models import Copy, Image, Manifest, Tag
from console.registry import at_once, registry
from registry_client import (
    Descriptor,
    MalformedManifest,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
    NotFound,
    RegistryError,
    RegistryUnavailable,
    Unauthorized,
)
from registry_client import Manifest as RegistryManifest

log = logging.getLogger(__name__)

_DEEPEST = 3


class CannotCopy(Exception):
    """The copy can never succeed; the message is the sentence for the page."""


def run(copy_id: int) -> None:
    """Do the copy, then remove its row; one that can never succeed keeps the row, with the reason.

    :raises registry_client.RegistryError: when it may succeed later.
    """
    copy = Copy.objects.select_related("image__namespace").filter(pk=copy_id, state=Copy.State.RUNNING).first()
    if copy is None:
        return
    try:
        if copy.image.state != Image.State.ACTIVE:
            raise CannotCopy("The image that it was to be copied to is being deleted.")
        _require_still_allowed(copy)
        copy_manifest(copy.source, copy.image.repository, copy.digest, copy.tag)
    except (RegistryUnavailable, Unauthorized) as error:
        log.warning("copy of %s waits: %s", copy, error)
        sentence = (
            "The registry does not answer. The copy goes on by itself when it does."
            if isinstance(error, RegistryUnavailable)
            else "The registry refuses the console. The copy goes on by itself when it no longer does."
        )
        with _shown(copy) as row:
            row.update(problem=sentence)
        raise
    except (CannotCopy, RegistryError) as error:
        sentence = str(error) if isinstance(error, CannotCopy) else "The registry refused a step of the copy."
        log.warning("copy of %s failed: %s", copy, error)
        with _shown(copy) as row:
            row.update(state=Copy.State.FAILED, problem=sentence)
            record("tag.copy-failed", _target(copy), actor=copy.requested_by, source=copy.source, problem=sentence)
        return
    _index(copy)
    with _shown(copy) as row:
        row.delete()
        record("tag.copied", _target(copy), actor=copy.requested_by, source=copy.source, digest=copy.digest)


def _target(copy: Copy) -> str:
    return f"{copy.image.repository}:{copy.tag}"


def _require_still_allowed(copy: Copy) -> None:
    """Ask again: source and target may have changed hands while the copy waited."""
    account = Account.objects.filter(account_id=copy.requested_by).first() or AnonymousUser()
    if not policy.may(account, "image.push", copy.image):
        raise CannotCopy("Whoever asked for it may no longer push to this image.")
    source = Image.objects.select_related("namespace").filter(full_name=copy.source).first()
    if source is not None and not policy.may(account, "image.view", source):
        raise CannotCopy("Whoever asked for it may no longer see the image that it was to be copied from.")


@contextmanager
def _shown(copy: Copy) -> Iterator[QuerySet[Copy]]:
    """The copy's row, to be changed so that open pages see it."""
    with image_locked(copy.image_id):
        yield Copy.objects.filter(pk=copy.pk)
        Image.objects.filter(pk=copy.image_id).update(changed_at=timezone.now())


def dismiss(image: Image, number: int) -> None:
    """Forget a copy to ``image`` that failed; nothing happens when there is none of that number."""
    copy = Copy.objects.filter(image=image, pk=number, state=Copy.State.FAILED).first()
    if copy is not None:
        with _shown(copy) as row:
            row.delete()
            record("tag.copy-dismiss", _target(copy), source=copy.source)


def _index(copy: Copy) -> None:
    from console.indexing import services  # the index knows about deletions and copies; not the other way round

    reader = services.Reader(copy.image.repository)
    reader.look(copy.tag, pushed_at=copy.requested_at, pushed_by=_username(copy.requested_by))
    reader.settle()


def _username(account_id: str) -> str:
    from console.accounts.models import RegistryCredential

    credential = RegistryCredential.objects.filter(account__account_id=account_id).first()
    return credential.username if credential else account_id


def copy_manifest(source: str, target: str, digest: str, reference: str) -> None:
    """Put the manifest ``digest`` of the repository ``source`` into ``target`` under ``reference``.

    :raises CannotCopy: when the source no longer has all of it.
    :raises registry_client.RegistryError: when the registry fails.
    """
    _copy(source, target, digest, reference, _DEEPEST)


def _copy(source: str, target: str, digest: str, reference: str, depth: int) -> None:
    try:
        manifest = registry().manifest(source, digest)
        if refusal := foreign_layers.refusal(manifest):
            raise CannotCopy(refusal)
        if source != target:
            _copy_parts(source, target, manifest, depth)
        # Before: a copy that ends half-way leaves platforms that no tag names.
        pushed.remember([(target, digest)])
        registry().put_manifest(target, reference, manifest.content, manifest.media_type)
    except (ManifestUnknown, ManifestBlobUnknown, NameUnknown) as error:
        raise CannotCopy("The image is no longer complete at its source: a part of it was deleted.") from error
    except MalformedManifest as error:
        raise CannotCopy("The image’s manifest cannot be understood.") from error


def _copy_parts(source: str, target: str, manifest: RegistryManifest, depth: int) -> None:
    if manifest.is_index:
        if not depth:
            raise CannotCopy("The image nests indexes too deeply.")
        for child in dict.fromkeys(child.digest for child in manifest.children):
            _copy(source, target, child, child, depth - 1)
        return
    blobs = {blob.digest: blob for blob in manifest.blobs}
    at_once(lambda blob: _mount(source, target, blob), list(blobs.values()))


def _mount(source: str, target: str, blob: Descriptor) -> None:
    digest = blob.digest
    if registry().mount_blob(target, digest, source):
        return
    # A registry may decline to mount: then the bytes do move.
    try:
        size = registry().stat_blob(source, digest).size
        registry().upload_blob(target, digest, registry().blob(source, digest), size)
    except NotFound as error:
        if blob.urls:
            return  # a foreign layer: it was never here, and the copy does without it as its source does
        raise CannotCopy("The image is no longer complete at its source: a part of it was deleted.") from error


def attachments_of(image: Image, digest: str) -> list[Tag]:
    """The tags of an image that are about a digest, or about a platform of it: signatures, SBOMs."""
    manifest = Manifest.objects.filter(image=image, digest=digest).first()
    about = {digest, *(manifest.child_digests if manifest else [])}
    return list(Tag.objects.filter(image=image, subject__in=about, state=Tag.State.ACTIVE).select_related("manifest"))
