"""Copy a tag within an image, or to another image of the same account, without moving bytes.

Blobs are mounted from the source (Distribution, "Cross Repository Blob Mount"), then the manifests are put, children
before the index that names them: the copy has the same digest, with all platforms. Every step is idempotent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from django.db.models import QuerySet
from django.utils import timezone

from console.accounts.models import Account, RegistryCredential
from console.audit.services import record
from console.jobs.outages import is_database_outage, is_of_one_tag
from console.registry import foreign_layers
from console.registry.connection import at_once, registry
from console.registry.index import sync
from console.registry.large_content import content_held, manifest_held
from console.repositories import failures, pushed_digests
from console.repositories.failures import Kind
from console.repositories.locks import image_locked
from console.repositories.models import Copy, Image, Manifest, Tag
from registry_client import (
    Descriptor,
    DigestMismatch,
    MalformedManifest,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
    NotFound,
    RegistryError,
    RegistryUnavailable,
    Unauthorized,
    UnreadableContent,
)
from registry_client import Manifest as RegistryManifest

log = logging.getLogger(__name__)

_DEEPEST = 3
_INCOMPLETE = "The image is no longer complete at its source: a part of it was deleted."


class CannotCopy(Exception):
    """The copy can never succeed; the message is the sentence for the page."""


def run(copy_id: int) -> None:
    """Copy, then delete the copy's row; a copy that cannot succeed keeps its row, with the problem.

    :raises registry_client.RegistryError: when a retry may succeed.
    """
    copy = Copy.objects.select_related("image__namespace").filter(pk=copy_id, state=Copy.State.RUNNING).first()
    if copy is None:
        return
    try:
        if copy.image.state != Image.State.ACTIVE:
            raise CannotCopy("The image to copy to is being deleted.")
        _require_still_allowed(copy)
        copy_manifest(copy.source, copy.image.repository, copy.digest, copy.tag)
        attached = _copy_attached(copy) if copy.attached else []
        _index(copy, attached)
    except (RegistryUnavailable, Unauthorized) as error:
        log.warning("copy of %s failed and is retried: %s", copy, error)
        sentence = (
            "Can’t reach the registry. Retrying automatically."
            if isinstance(error, RegistryUnavailable)
            else "The registry refuses the console’s token. Retrying automatically."
        )
        # A registry that answers 500 each time is no outage.
        if not is_of_one_tag(error) or timezone.now() - copy.requested_at < failures.PATIENCE:
            with _shown(copy) as row:
                row.update(problem=sentence)
            raise
        _fail(copy, "The registry answered with a server error for a day.", error)
        return
    except Exception as error:
        if is_database_outage(error):
            raise
        sentence = failures.BROKEN
        if isinstance(error, (CannotCopy, RegistryError)):
            sentence = str(error) if isinstance(error, CannotCopy) else "The registry refused a step of the copy."
        _fail(copy, sentence, error)
        return
    failures.forget(Kind.COPY, copy.image.repository, [copy.tag])
    with _shown(copy) as row:
        row.delete()
        record("tag.copied", _target(copy), actor=copy.requested_by, source=copy.source, digest=copy.digest)


def _fail(copy: Copy, sentence: str, error: Exception) -> None:
    unforeseen = not isinstance(error, (CannotCopy, RegistryError))
    log.warning("copy of %s failed: %s", copy, error, exc_info=unforeseen)
    with _shown(copy) as row:
        row.update(state=Copy.State.FAILED, problem=sentence)
        record("tag.copy-failed", _target(copy), actor=copy.requested_by, source=copy.source, problem=sentence)
        failures.give_up(Kind.COPY, copy.image.repository, copy.tag, sentence=sentence, detail=str(error))


def _target(copy: Copy) -> str:
    return f"{copy.image.repository}:{copy.tag}"


def _require_still_allowed(copy: Copy) -> None:
    """Check the rights again: source and target may have another owner by now."""
    account = Account.objects.filter(account_id=copy.requested_by).first()
    if account is None or not account.may("image.push", copy.image):
        raise CannotCopy("The account that started the copy may no longer push to this image.")
    source = Image.objects.select_related("namespace").filter(full_name=copy.source).first()
    if source is not None and not account.may("image.view", source):
        raise CannotCopy("The account that started the copy may no longer see the image to copy from.")


@contextmanager
def _shown(copy: Copy) -> Iterator[QuerySet[Copy]]:
    """Lock the image and yield the copy's row, so that open pages show the change."""
    with image_locked(copy.image_id):
        yield Copy.objects.filter(pk=copy.pk)
        Image.objects.filter(pk=copy.image_id).update(changed_at=timezone.now())


def dismiss(image: Image, number: int) -> None:
    """Delete the row of a failed copy to ``image``; does nothing when there is none of that number."""
    copy = Copy.objects.filter(image=image, pk=number, state=Copy.State.FAILED).first()
    if copy is not None:
        with _shown(copy) as row:
            row.delete()
            failures.forget(Kind.COPY, image.repository, [copy.tag])
            record("tag.copy-dismiss", _target(copy), source=copy.source)


def _index(copy: Copy, attached: list[str]) -> None:
    references = (copy.tag, *attached)
    sync.index_own(copy.image.repository, references, copy.requested_at, _username(copy.requested_by))


def _username(account_id: str) -> str:
    credential = RegistryCredential.objects.filter(account__account_id=account_id).first()
    return credential.username if credential else account_id


def copy_manifest(source: str, target: str, digest: str, reference: str) -> None:
    """Put the manifest ``digest`` of the repository ``source`` into ``target`` under ``reference``.

    :raises CannotCopy: when the source no longer has all of it.
    :raises registry_client.RegistryError: when the registry fails.
    """
    try:
        with manifest_held(source, digest) as manifest:
            parts = _parts(manifest)
        _copy(source, target, parts, reference, _DEEPEST, set())
    except (ManifestUnknown, ManifestBlobUnknown, NameUnknown) as error:
        raise CannotCopy(_INCOMPLETE) from error
    except (UnreadableContent, DigestMismatch) as error:
        raise CannotCopy("The registry cannot read a part of the image. Push the image again.") from error
    except MalformedManifest as error:
        raise CannotCopy("The image’s manifest is invalid.") from error


class _Parts(NamedTuple):
    """The parts of a manifest that stay in memory while what it names is copied."""

    digest: str
    is_index: bool
    entries: tuple[Descriptor, ...]


def _parts(manifest: RegistryManifest) -> _Parts:
    if manifest.has_too_many_values:
        raise CannotCopy("The image’s manifest is too large to be copied.")
    if refusal := foreign_layers.refusal(manifest):
        raise CannotCopy(refusal)
    return _Parts(manifest.digest, manifest.is_index, manifest.entries)


def _copy(source: str, target: str, parts: _Parts, reference: str, depth: int, done: set[str]) -> None:
    """Copy a manifest after all that it names, each digest once, however many indexes name it."""
    if source != target:
        _copy_parts(source, target, parts, depth, done)
    done.add(parts.digest)
    # Before the put: a copy that fails half-way leaves platforms that no tag names.
    pushed_digests.remember([(target, parts.digest)])
    # Only its bytes, outside the semaphore for large manifests: storing them may take the registry seconds.
    manifest = registry().manifest(source, parts.digest)
    registry().put_manifest(target, reference, manifest.content, manifest.media_type)


def _copy_parts(source: str, target: str, parts: _Parts, depth: int, done: set[str]) -> None:
    if not parts.is_index:
        at_once(lambda blob: _mount(source, target, blob), parts.entries)
        return
    if not depth:
        raise CannotCopy("The image nests indexes too deeply.")
    for entry in parts.entries:
        if entry.digest in done:
            continue
        # The registry knows what it is: an index may name layers, as BuildKit's cache does.
        with content_held(source, entry.digest, entry.media_type) as content:
            below = _parts(content) if isinstance(content, RegistryManifest) else None
            is_there = content is not None
        del content
        if below is not None:
            _copy(source, target, below, below.digest, depth - 1, done)
        elif is_there:
            _mount(source, target, entry)
        else:
            raise CannotCopy(_INCOMPLETE)


def _copy_attached(copy: Copy) -> list[str]:
    """Copy attachments without a tag, of the digest or of a platform of it; their digests."""
    source = Image.objects.select_related("namespace").filter(full_name=copy.source).first()
    if source is None or source.pk == copy.image_id:
        return []
    digests = [manifest.digest for manifest in untagged_about(source, copy.digest)]
    for digest in digests:
        copy_manifest(copy.source, copy.image.repository, digest, digest)
    return digests


def _mount(source: str, target: str, blob: Descriptor) -> None:
    digest = blob.digest
    if registry().mount_blob(target, digest, source):
        return
    # A registry may decline to mount: then the bytes are moved.
    try:
        size = registry().stat_blob(source, digest).size
        registry().upload_blob(target, digest, registry().blob(source, digest), size)
    except NotFound as error:
        if blob.urls:
            return  # a foreign layer: it is in no registry
        raise CannotCopy(_INCOMPLETE) from error


def attachments_of(image: Image, digest: str) -> list[Tag]:
    """The tags of attachments (signatures, SBOMs) of a digest, or of a platform of it."""
    about = _with_platforms(image, digest)
    tags = Tag.objects.filter(image=image, subject__in=about, state=Tag.State.ACTIVE).select_related("manifest")
    return list(tags.defer("manifest__platforms", "manifest__blobs", "manifest__children"))


def untagged_about(image: Image, digest: str) -> list[Manifest]:
    """The attachments without a tag of a digest, or of a platform of it."""
    about = _with_platforms(image, digest)
    manifests = Manifest.objects.filter(image=image, subject__in=about, tags=None, doomed=False).order_by("digest")
    return list(manifests.defer("platforms", "blobs", "children"))


def _with_platforms(image: Image, digest: str) -> set[str]:
    manifest = Manifest.objects.filter(image=image, digest=digest).first()
    return {digest, *(manifest.child_digests if manifest else [])}
