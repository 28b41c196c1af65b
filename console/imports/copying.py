"""Import an image from another registry, in two steps.

*Fetch* copies what the registry does not have: first the blobs, streamed and verified, then the manifests by digest,
without tags. It may take hours, and blocks nothing else. *Finish* writes the tag; it holds the repository's lock, like
other jobs on the image. Both steps are idempotent and resume after a kill: existing blobs are not copied again.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from console.accounts.models import Account, RegistryCredential
from console.audit.services import record
from console.imports import credentials, problems
from console.imports.models import Transfer
from console.imports.plan import CannotTransfer, ManifestCache, Plan, make_plan
from console.imports.problems import SourceFailure, TooSlow
from console.imports.sources import Source, source_of
from console.registry.connection import at_once, registry
from console.registry.index import sync
from console.repositories import failures, pushed_digests
from console.repositories.locks import image_locked
from console.repositories.models import Image
from registry_client import (
    BlobUnknown,
    Descriptor,
    DigestMismatch,
    Manifest,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
    RegistryError,
)

log = logging.getLogger(__name__)

# Bytes of a blob in memory at a time.
_PIECE = 1 << 16
# Interval of saving the progress, and checking for cancellation.
_PROGRESS_SECONDS = 2.0
_GIVE_UP = datetime.timedelta(days=1)
# Blobs that are checked in one batch, to limit memory.
_BATCH = 200
# A slow source would occupy a slot for days. Its speed is checked after this time.
_PATIENCE_SECONDS = 120.0
_SLOWEST = 16 << 10
# Timeout for reading all manifests of an image from the source.
_LONGEST_PLANNING = 600.0
_manifest_cache = ManifestCache()


class TurnOver(Exception):
    """The turn is over before the work is finished."""


class Stopped(Exception):
    """The transfer was cancelled, or its image deleted."""


def running(transfer_id: int, attempt: int) -> QuerySet[Transfer]:
    """The transfer's row, if it is still running."""
    return Transfer.objects.filter(
        pk=transfer_id, attempt=attempt, state=Transfer.State.RUNNING, image__state=Image.State.ACTIVE
    )


@contextmanager
def _update(transfer: Transfer) -> Iterator[QuerySet[Transfer]]:
    """A transaction that changes the row under the image's lock, and makes open pages reload.

    :raises Stopped: when the transfer is not running any more; the transaction is rolled back.
    """
    with image_locked(transfer.image_id):
        rows = running(transfer.pk, transfer.attempt)
        if not rows.exists():
            raise Stopped
        yield rows
        Image.objects.filter(pk=transfer.image_id).update(changed_at=timezone.now())


class _Progress:
    """Counts bytes, and saves the count periodically; raises ``Stopped`` if the transfer was stopped."""

    def __init__(self, transfer: Transfer, total: int, done: int) -> None:
        self.transfer, self.total, self.done = transfer, total, done
        self._saved = time.monotonic()

    def add(self, count: int) -> None:
        self.done += count
        if time.monotonic() - self._saved >= _PROGRESS_SECONDS:
            self.save()

    def save(self) -> None:
        with _update(self.transfer) as rows:
            rows.update(bytes_done=min(self.done, self.total), problem="")
        self._saved = time.monotonic()


def fetch(transfer_id: int, attempt: int, over: Callable[[], bool], finish: Callable[[Transfer], None]) -> None:
    """Copy all blobs and manifests that the tag needs, then queue ``finish``.

    :param over: whether the turn is over; called after each manifest and each blob.
    :param finish: queues the second step, in one transaction with the last check for cancellation.
    :raises TurnOver: when the turn is over.
    :raises registry_client.RegistryError, SourceFailure: when it is to be retried.
    """
    transfer = running(transfer_id, attempt).select_related("image__namespace").first()
    if transfer is None:
        credentials.forget(transfer_id)
        return
    with _report_failures(transfer):
        _require_permission(transfer)
        with source_of(transfer) as source:
            plan = _planned(transfer, source, over)
            _bring_blobs(transfer, source, plan, over)
        _put_manifests(transfer, plan)
        with _update(transfer):
            finish(transfer)
        _manifest_cache.forget(_copy(transfer))


def _raise_if_stopped(transfer: Transfer) -> None:
    """Check again whether the transfer may continue.

    :raises Stopped: when the transfer was cancelled, or its image deleted.
    :raises CannotTransfer: when the account may not push to the image any more.
    """
    now = running(transfer.pk, transfer.attempt).select_related("image__namespace").first()
    if now is None:
        raise Stopped
    _require_permission(now)


def _require_permission(transfer: Transfer) -> None:
    """Check that the account may still push: the namespace may be transferred, or the account deactivated."""
    account = Account.objects.filter(account_id=transfer.requested_by).first()
    if account is None or not account.may("image.push", transfer.image):
        raise CannotTransfer("You can no longer push to the image that this copy was for.")


@contextmanager
def _report_failures(transfer: Transfer) -> Iterator[None]:
    """Record errors for the page; re-raise those to be retried, and end the transfer for others."""
    try:
        yield
    except TurnOver:
        raise
    except Stopped:
        log.info("import %s was stopped", transfer)
    except credentials.Expired:
        _fail(
            transfer,
            "The user name and password are stored for an hour, and the import took longer. Import the image again: "
            "parts that are already copied are not copied again.",
        )
    except CannotTransfer as error:
        _fail(transfer, str(error))
    except (SourceFailure, RegistryError) as error:
        if isinstance(error, SourceFailure):
            problem = problems.of_source(transfer, error.error)
        else:
            problem = problems.of_target(error)
        log.warning("import %s: %s", transfer, error)
        if not problem.passes:
            _fail(transfer, problem.sentence, str(error))
            return
        if _may_retry(transfer, problem.sentence, str(error)):
            raise
    except Exception as error:
        # A bug. Without this the page would show a running copy for ever.
        log.exception("import %s failed with an unexpected error", transfer)
        if _may_retry(transfer, problems.BROKEN, f"{type(error).__name__}: {error}"):
            raise


def _may_retry(transfer: Transfer, sentence: str, detail: str) -> bool:
    """Record the error of a retry; after a day the transfer fails instead. Returns whether to retry."""
    if timezone.now() - transfer.requested_at > _GIVE_UP:
        _fail(transfer, f"{sentence} {problems.GIVEN_UP}", detail)
        return False
    try:
        with _update(transfer) as rows:
            rows.update(problem=sentence[:300])
    except Stopped:
        return False
    return True


def _fail(transfer: Transfer, sentence: str, detail: str = "") -> None:
    _manifest_cache.forget(_copy(transfer))
    try:
        with _update(transfer) as rows:
            credentials.forget(transfer.pk)
            rows.update(state=Transfer.State.FAILED, problem=sentence[:300])
            failures.give_up(
                failures.Kind.IMPORT, transfer.image.repository, transfer.tag, sentence=sentence, detail=detail
            )
            _record("tag.import-failed", transfer, problem=sentence)
    except Stopped:
        return
    log.warning("import %s failed: %s", transfer, sentence)


def _planned(transfer: Transfer, source: Source, over: Callable[[], bool]) -> Plan:
    reading = _Reading(transfer, source, over)
    try:
        root = reading.read(transfer.repository, transfer.digest or transfer.reference)
        if not transfer.digest:
            with _update(transfer) as rows:
                rows.update(digest=root.digest)
            transfer.digest = root.digest
        plan = make_plan(source.client, root, transfer.platforms, reading.read)
    except RegistryError as error:
        raise SourceFailure(error) from error
    # In a later turn the plan is the same, so the progress is not reset.
    if (transfer.result, transfer.bytes_total) != (plan.root.digest, plan.size):
        transfer.result, transfer.bytes_total = plan.root.digest, plan.size
        with _update(transfer) as rows:
            rows.update(result=plan.root.digest, bytes_total=plan.size, bytes_done=0)
    return plan


class _Reading:
    """Reads manifests from the source, or from the cache if an earlier turn has read them."""

    def __init__(self, transfer: Transfer, source: Source, over: Callable[[], bool]) -> None:
        self._transfer, self._source, self._over = transfer, source, over
        self._end = time.monotonic() + _LONGEST_PLANNING
        self._asked, self._all_cached = 0, True

    def read(self, repository: str, reference: str) -> Manifest:
        """Read a manifest; the turn may end before that if all manifests so far are cached."""
        copy = _copy(self._transfer)
        if (known := _manifest_cache.get(copy, reference)) is not None:
            return known
        if self._asked:
            _raise_if_stopped(self._transfer)
            if time.monotonic() > self._end:
                raise TooSlow("the manifests come too slowly")
            if self._all_cached and self._over():
                raise TurnOver
        manifest = self._source.client.manifest(repository, reference)
        self._asked += 1
        self._all_cached = _manifest_cache.add(copy, manifest) and self._all_cached
        return manifest


def _copy(transfer: Transfer) -> tuple[int, int]:
    return transfer.pk, transfer.attempt


def _bring_blobs(transfer: Transfer, source: Source, plan: Plan, over: Callable[[], bool]) -> None:
    target = transfer.image.repository
    sizes = _sizes_at(target, list(plan.blobs))
    missing = [blob for blob, size in zip(plan.blobs.values(), sizes, strict=True) if size != blob.size]
    progress = _Progress(transfer, plan.size, plan.size - sum(blob.size for blob in missing))
    progress.save()
    elsewhere = _readable_repositories_with(transfer, [blob.digest for blob in missing])
    for number, blob in enumerate(missing):
        if number and over():
            raise TurnOver
        if blob.digest in elsewhere and registry().mount_blob(target, blob.digest, elsewhere[blob.digest]):
            progress.add(blob.size)
        else:
            _upload(source, transfer, blob, progress)
        # Also between blobs, because the next one may be slow to start.
        progress.save()


def _upload(source: Source, transfer: Transfer, blob: Descriptor, progress: _Progress) -> None:
    pieces = _pieces(source, transfer, blob, progress)
    try:
        registry().upload_blob(transfer.image.repository, blob.digest, pieces, blob.size)
    except DigestMismatch as error:
        # The size in the manifest differs from that of the received blob.
        raise SourceFailure(error) from error


def _sizes_at(repository: str, digests: list[str]) -> list[int | None]:
    sizes: list[int | None] = []
    for start in range(0, len(digests), _BATCH):
        sizes += at_once(lambda digest: _size_at(repository, digest), digests[start : start + _BATCH])
    return sizes


def _size_at(repository: str, digest: str) -> int | None:
    try:
        return registry().stat_blob(repository, digest).size
    except BlobUnknown:
        return None


def _pieces(source: Source, transfer: Transfer, blob: Descriptor, progress: _Progress) -> Iterator[bytes]:
    # Measures only the time of waiting for the source, not for our own registry.
    came, waited, asked = 0, 0.0, time.monotonic()
    try:
        for piece in source.client.blob(transfer.repository, blob.digest, _PIECE):
            came, waited = came + len(piece), waited + time.monotonic() - asked
            if waited > _PATIENCE_SECONDS and came < waited * _SLOWEST:
                raise TooSlow("the blob comes too slowly")
            source.came()
            yield piece
            progress.add(len(piece))
            asked = time.monotonic()
    except RegistryError as error:
        raise SourceFailure(error) from error


# Only the repositories that the account may read: otherwise a known digest would give access to others' blobs.
_READABLE = """
SELECT blob, min(image.full_name)
FROM images_image AS image
JOIN images_manifest AS manifest ON manifest.image_id = image.id
CROSS JOIN LATERAL jsonb_array_elements_text(manifest.blobs) AS blob
WHERE image.id = ANY(%s) AND image.state = 'active' AND blob = ANY(%s)
GROUP BY blob
"""


def _readable_repositories_with(transfer: Transfer, digests: list[str]) -> dict[str, str]:
    """For each blob another repository that has it and that the importing account has a role on, if any."""
    account = Account.objects.filter(account_id=transfer.requested_by).first()
    if not digests or account is None:
        return {}
    keys = list(Image.objects.visible_to(account).exclude(pk=transfer.image_id).order_by().values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(_READABLE, [keys, digests])
        return dict(cursor.fetchall())


def _put_manifests(transfer: Transfer, plan: Plan) -> None:
    target = transfer.image.repository
    for manifest in plan.manifests:
        # Nothing is pushed any more if the image was deleted or transferred meanwhile.
        _raise_if_stopped(transfer)
        # Stored before the push: if the copy stops here, the image's deletion finds the untagged manifests by it.
        pushed_digests.remember([(target, manifest.digest)])
        registry().put_manifest(target, manifest.digest, manifest.content, manifest.media_type)


def finish(transfer_id: int, attempt: int, fetch_again: Callable[[Transfer], None]) -> None:
    """Write the tag, sync it to the index, and delete the transfer.

    :param fetch_again: queues the first step again, if a part was deleted meanwhile.
    :raises registry_client.RegistryError: when it is to be retried.
    """
    transfer = running(transfer_id, attempt).select_related("image__namespace").first()
    if transfer is None:
        credentials.forget(transfer_id)
        return
    with _report_failures(transfer):
        _require_permission(transfer)
        target = transfer.image.repository
        try:
            manifest = registry().manifest(target, transfer.result)
            with _update(transfer) as rows:
                rows.update(finishing=True)
            pushed_digests.remember([(target, manifest.digest)])
            registry().put_manifest(target, transfer.tag, manifest.content, manifest.media_type)
        except (ManifestUnknown, ManifestBlobUnknown, NameUnknown) as error:
            if timezone.now() - transfer.requested_at > _GIVE_UP:
                raise CannotTransfer("The image was deleted again and again while it was copied.") from error
            with _update(transfer) as rows:
                rows.update(finishing=False)
                fetch_again(transfer)
            return
        _index(transfer)
        with _update(transfer) as rows:
            rows.delete()
            _record("tag.imported", transfer, digest=transfer.result)


def _record(action: str, transfer: Transfer, **detail: str) -> None:
    target = f"{transfer.image.repository}:{transfer.tag}"
    record(action, target, actor=transfer.requested_by, source=transfer.origin, **detail)


def _index(transfer: Transfer) -> None:
    credential = RegistryCredential.objects.filter(account__account_id=transfer.requested_by).first()
    by = credential.username if credential else transfer.requested_by
    sync.index_own(transfer.image.repository, [transfer.tag], timezone.now(), by)
