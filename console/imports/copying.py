"""Import an image from another registry, in two steps.

*Fetch* brings what the registry does not have: blobs first, streamed and checked, then the manifests by their digests,
which no tag names. It may take hours, and holds up nothing else. *Finish* points the tag at the last of the manifests;
it takes its turn with what else changes the image. Both can be done again after they were killed: what is there already
is not sent again.
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
from console.imports.plan import CannotTransfer, Kept, Plan, make_plan
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

# A piece is the most that is held in memory of a blob.
_PIECE = 1 << 16
# How often progress is written down, and looked whether to go on.
_TELL_SECONDS = 2.0
_GIVE_UP = datetime.timedelta(days=1)
# So many blobs are asked after at a time: each that waits for its turn takes room.
_LOOKED_UP = 200
# A source that sends slowly would keep a place from others for days. It may begin slowly.
_PATIENCE_SECONDS = 120.0
_SLOWEST = 16 << 10
# How long a source may take to name what an image consists of.
_LONGEST_PLANNING = 600.0
_kept = Kept()


class TurnOver(Exception):
    """Something is left, and others wait."""


class Stopped(Exception):
    """Somebody cancelled the transfer, or deleted what it copies to."""


def running(transfer_id: int, attempt: int) -> QuerySet[Transfer]:
    """The transfer's row, if it is still to be worked on."""
    return Transfer.objects.filter(
        pk=transfer_id, attempt=attempt, state=Transfer.State.RUNNING, image__state=Image.State.ACTIVE
    )


@contextmanager
def _shown(transfer: Transfer) -> Iterator[QuerySet[Transfer]]:
    """The row, to be changed so that open pages see it.

    :raises Stopped: when there is nothing to be done any more; what was changed is undone.
    """
    with image_locked(transfer.image_id):
        rows = running(transfer.pk, transfer.attempt)
        if not rows.exists():
            raise Stopped
        yield rows
        Image.objects.filter(pk=transfer.image_id).update(changed_at=timezone.now())


class _Progress:
    """Counts bytes, and writes them down now and then; a transfer that was stopped ends there."""

    def __init__(self, transfer: Transfer, total: int, done: int) -> None:
        self.transfer, self.total, self.done = transfer, total, done
        self._told = time.monotonic()

    def add(self, count: int) -> None:
        self.done += count
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self.tell()

    def tell(self) -> None:
        with _shown(self.transfer) as rows:
            rows.update(bytes_done=min(self.done, self.total), problem="")
        self._told = time.monotonic()


def fetch(transfer_id: int, attempt: int, over: Callable[[], bool], finish: Callable[[Transfer], None]) -> None:
    """Bring all that the tag will need, then ask for ``finish``, in one transaction with the last look.

    :param over: whether the turn is over; asked after each manifest and each blob.
    :raises TurnOver: when it was.
    :raises registry_client.RegistryError, SourceFailure: when it may succeed later.
    """
    transfer = running(transfer_id, attempt).select_related("image__namespace").first()
    if transfer is None:
        credentials.forget(transfer_id)
        return
    with _failures_shown(transfer):
        _require_leave(transfer)
        with source_of(transfer) as source:
            plan = _planned(transfer, source, over)
            _bring_blobs(transfer, source, plan, over)
        _put_manifests(transfer, plan)
        with _shown(transfer):
            finish(transfer)
        _kept.forget(_copy(transfer))


def _look(transfer: Transfer) -> None:
    """Look once more whether to go on; much may have happened since the last time.

    :raises Stopped: when somebody cancelled the transfer, or deleted the image.
    :raises CannotTransfer: when it is no longer the account's.
    """
    now = running(transfer.pk, transfer.attempt).select_related("image__namespace").first()
    if now is None:
        raise Stopped
    _require_leave(now)


def _require_leave(transfer: Transfer) -> None:
    """The namespace may have changed hands since, and the account been deactivated."""
    account = Account.objects.filter(account_id=transfer.requested_by).first()
    if account is None or not account.may("image.push", transfer.image):
        raise CannotTransfer("You can no longer push to the image that this copy was for.")


@contextmanager
def _failures_shown(transfer: Transfer) -> Iterator[None]:
    """Say on the page what went wrong; raise what may succeed later, end what cannot."""
    try:
        yield
    except TurnOver:
        raise
    except Stopped:
        log.info("transfer %s was stopped", transfer)
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
        log.warning("transfer %s: %s", transfer, error)
        if not problem.passes:
            _fail(transfer, problem.sentence, str(error))
            return
        if _again(transfer, problem.sentence, str(error)):
            raise
    except Exception as error:
        # Nobody thought of it. Without a word the page would show a copy that goes on, for ever.
        log.exception("transfer %s met what nobody thought of", transfer)
        if _again(transfer, problems.BROKEN, f"{type(error).__name__}: {error}"):
            raise


def _again(transfer: Transfer, sentence: str, detail: str) -> bool:
    """Show what keeps the copy waiting; whether it is to be tried again."""
    if timezone.now() - transfer.requested_at > _GIVE_UP:
        _fail(transfer, f"{sentence} {problems.GIVEN_UP}", detail)
        return False
    try:
        with _shown(transfer) as rows:
            rows.update(problem=sentence[:300])
    except Stopped:
        return False
    return True


def _fail(transfer: Transfer, sentence: str, detail: str = "") -> None:
    _kept.forget(_copy(transfer))
    try:
        with _shown(transfer) as rows:
            credentials.forget(transfer.pk)
            rows.update(state=Transfer.State.FAILED, problem=sentence[:300])
            failures.give_up(
                failures.Kind.IMPORT, transfer.image.repository, transfer.tag, sentence=sentence, detail=detail
            )
            _record("tag.import-failed", transfer, problem=sentence)
    except Stopped:
        return
    log.warning("transfer %s failed: %s", transfer, sentence)


def _planned(transfer: Transfer, source: Source, over: Callable[[], bool]) -> Plan:
    reading = _Reading(transfer, source, over)
    try:
        root = reading.read(transfer.repository, transfer.digest or transfer.reference)
        if not transfer.digest:
            with _shown(transfer) as rows:
                rows.update(digest=root.digest)
            transfer.digest = root.digest
        plan = make_plan(source.client, root, transfer.platforms, reading.read)
    except RegistryError as error:
        raise SourceFailure(error) from error
    # In a later turn it is the same again, and what is done stays done.
    if (transfer.result, transfer.bytes_total) != (plan.root.digest, plan.size):
        transfer.result, transfer.bytes_total = plan.root.digest, plan.size
        with _shown(transfer) as rows:
            rows.update(result=plan.root.digest, bytes_total=plan.size, bytes_done=0)
    return plan


class _Reading:
    """Asks the source for manifests, but for those that an earlier turn has read."""

    def __init__(self, transfer: Transfer, source: Source, over: Callable[[], bool]) -> None:
        self._transfer, self._source, self._over = transfer, source, over
        self._end = time.monotonic() + _LONGEST_PLANNING
        self._asked, self._all_kept = 0, True

    def read(self, repository: str, reference: str) -> Manifest:
        """A manifest; the turn may end before it is asked for, when nothing that was read gets lost by that."""
        copy = _copy(self._transfer)
        if (known := _kept.get(copy, reference)) is not None:
            return known
        if self._asked:
            _look(self._transfer)
            if time.monotonic() > self._end:
                raise TooSlow("the manifests come too slowly")
            if self._all_kept and self._over():
                raise TurnOver
        manifest = self._source.client.manifest(repository, reference)
        self._asked += 1
        self._all_kept = _kept.add(copy, manifest) and self._all_kept
        return manifest


def _copy(transfer: Transfer) -> tuple[int, int]:
    return transfer.pk, transfer.attempt


def _bring_blobs(transfer: Transfer, source: Source, plan: Plan, over: Callable[[], bool]) -> None:
    target = transfer.image.repository
    sizes = _sizes_at(target, list(plan.blobs))
    missing = [blob for blob, size in zip(plan.blobs.values(), sizes, strict=True) if size != blob.size]
    progress = _Progress(transfer, plan.size, plan.size - sum(blob.size for blob in missing))
    progress.tell()
    elsewhere = _own_repositories_with(transfer.image, [blob.digest for blob in missing])
    for number, blob in enumerate(missing):
        if number and over():
            raise TurnOver
        if blob.digest in elsewhere and registry().mount_blob(target, blob.digest, elsewhere[blob.digest]):
            progress.add(blob.size)
        else:
            _upload(source, transfer, blob, progress)
        # Also between blobs, for the next may keep us waiting.
        progress.tell()


def _upload(source: Source, transfer: Transfer, blob: Descriptor, progress: _Progress) -> None:
    pieces = _pieces(source, transfer, blob, progress)
    try:
        registry().upload_blob(transfer.image.repository, blob.digest, pieces, blob.size)
    except DigestMismatch as error:
        # The manifest states another size than what came with the digest has.
        raise SourceFailure(error) from error


def _sizes_at(repository: str, digests: list[str]) -> list[int | None]:
    sizes: list[int | None] = []
    for start in range(0, len(digests), _LOOKED_UP):
        sizes += at_once(lambda digest: _size_at(repository, digest), digests[start : start + _LOOKED_UP])
    return sizes


def _size_at(repository: str, digest: str) -> int | None:
    try:
        return registry().stat_blob(repository, digest).size
    except BlobUnknown:
        return None


def _pieces(source: Source, transfer: Transfer, blob: Descriptor, progress: _Progress) -> Iterator[bytes]:
    # Only while the source is waited for: it cannot help it when our own registry takes its time.
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


# Only the owner's: what others have is not given away to whoever can name its digest.
_OWN = """
SELECT blob, min(image.full_name)
FROM images_image AS image
JOIN images_manifest AS manifest ON manifest.image_id = image.id
CROSS JOIN LATERAL jsonb_array_elements_text(manifest.blobs) AS blob
WHERE image.owner_id = %s AND image.id <> %s AND image.state = 'active' AND blob = ANY(%s)
GROUP BY blob
"""


def _own_repositories_with(image: Image, digests: list[str]) -> dict[str, str]:
    """For each blob another repository of the same owner's that has it, where there is one."""
    if not digests:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_OWN, [image.owner_id, image.pk, digests])
        return dict(cursor.fetchall())


def _put_manifests(transfer: Transfer, plan: Plan) -> None:
    target = transfer.image.repository
    for manifest in plan.manifests:
        # An image that was deleted or given away meanwhile gets nothing more.
        _look(transfer)
        # Before: a copy that ends here leaves manifests that no tag names, and the image's deletion takes them along.
        pushed_digests.remember([(target, manifest.digest)])
        registry().put_manifest(target, manifest.digest, manifest.content, manifest.media_type)


def finish(transfer_id: int, attempt: int, fetch_again: Callable[[Transfer], None]) -> None:
    """Point the tag at what was fetched, write it into the index and forget the transfer.

    :param fetch_again: asked for when something of it was deleted meanwhile.
    :raises registry_client.RegistryError: when it may succeed later.
    """
    transfer = running(transfer_id, attempt).select_related("image__namespace").first()
    if transfer is None:
        credentials.forget(transfer_id)
        return
    with _failures_shown(transfer):
        _require_leave(transfer)
        target = transfer.image.repository
        try:
            manifest = registry().manifest(target, transfer.result)
            with _shown(transfer) as rows:
                rows.update(finishing=True)
            pushed_digests.remember([(target, manifest.digest)])
            registry().put_manifest(target, transfer.tag, manifest.content, manifest.media_type)
        except (ManifestUnknown, ManifestBlobUnknown, NameUnknown) as error:
            if timezone.now() - transfer.requested_at > _GIVE_UP:
                raise CannotTransfer("The image was deleted repeatedly during the copy. Import it again.") from error
            with _shown(transfer) as rows:
                rows.update(finishing=False)
                fetch_again(transfer)
            return
        _index(transfer)
        with _shown(transfer) as rows:
            rows.delete()
            _record("tag.imported", transfer, digest=transfer.result)


def _record(action: str, transfer: Transfer, **detail: str) -> None:
    target = f"{transfer.image.repository}:{transfer.tag}"
    record(action, target, actor=transfer.requested_by, source=transfer.origin, **detail)


def _index(transfer: Transfer) -> None:
    credential = RegistryCredential.objects.filter(account__account_id=transfer.requested_by).first()
    by = credential.username if credential else transfer.requested_by
    sync.index_own(transfer.image.repository, [transfer.tag], timezone.now(), by)
