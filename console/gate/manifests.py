"""Push a manifest through the gate: rules, hint, registry, index.

The registry gets the bytes as the client sent them, by the console's own connection, so it sends no notification. What
a killed process leaves between registry and index is synced by its hint (``console.registry.index.reservations``).
"""

from __future__ import annotations

import datetime
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from django.db import DatabaseError, InterfaceError
from django.utils import timezone
from procrastinate.exceptions import ConnectorException

from console.access.grants import refuse_push
from console.database.statements import (
    commit_without_waiting,
    pipelined_transaction,
    with_prepared_statements,
)
from console.gate import lookup
from console.gate.errors import ProtocolError, denied
from console.gate.fairness import turn_of
from console.gate.lookup import Found
from console.jobs.outages import is_outage
from console.registry import foreign_layers
from console.registry.connection import registry
from console.registry.index import jobs, pushed_manifest, reservations
from console.registry.index.pushed_manifest import LeftToWorker, PushedManifest
from console.registry.index.reservations import Reservation
from console.registry.tombstone import is_tombstone
from console.repositories import pushed_digests
from registry_client import MANIFEST_MEDIA_TYPES, Digest, Manifest, ManifestBlobUnknown, RegistryError, is_digest
from registry_client.json_documents import TooManyValues, parse

log = logging.getLogger(__name__)

# Seconds between attempts while another push rewrites a link that this manifest needs.
_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True)
class Stored:
    """A manifest that the registry has taken; ``subject`` is a digest, or empty."""

    digest: str
    subject: str


@dataclass(frozen=True)
class _Announced:
    """What is stored before a push: the facts, the push event, and the hint if the manifest gets a row."""

    found: Found
    reservation: Reservation | None
    forget: dict[str, datetime.datetime]


def put_manifest(repository: str, reference: str, content: bytes, media_type: str, username: str) -> Stored:
    """Push a manifest, and write it to the index.

    :param reference: a tag, or the digest of ``content``.
    :param media_type: without parameters.
    :param username: of the account that pushes, from its token.
    :raises ProtocolError: when the rules or the manifest do not allow it.
    :raises registry_client.RegistryError: when the registry refuses it, or fails.
    """
    digest = Digest.of(content)
    if is_digest(reference) and not Digest(reference).is_of(content):
        raise ProtocolError(
            HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", f"The manifest’s content is not that of {reference}."
        )
    manifest = Manifest(repository, digest, media_type, content)
    if refusal := _refuse_content(manifest):
        raise ProtocolError(HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID", refusal)
    tag = "" if is_digest(reference) else reference
    push = PushedManifest(repository, tag, manifest, timezone.now(), username)
    with turn_of(username):
        _push(push, reference)
    return Stored(digest, manifest.subject_digest)


def _push(push: PushedManifest, reference: str) -> None:
    announced = with_prepared_statements(lambda: _announce(push))
    try:
        if not _is_there(push, reference, announced.found):
            _put(push, reference)
    except RegistryError as error:
        if not is_outage(error):
            _withdraw(push, announced)
        raise
    except ValueError:
        _withdraw(push, announced)
        raise ProtocolError(
            HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID", "Content-Type is not the media type of a manifest."
        ) from None
    if announced.reservation is not None:
        _index(push, announced.found, announced.reservation)


def _refuse_content(manifest: Manifest) -> str:
    """Error message for a manifest that Distribution would answer with 500, or the tombstone; empty for others."""
    if is_tombstone(manifest.digest):
        return "This manifest is reserved for deleting tags."
    if manifest.media_type in MANIFEST_MEDIA_TYPES:
        try:
            document = parse(manifest.content)
        except TooManyValues:
            document = {"schemaVersion": 2}  # the registry reads it
        except ValueError:
            return "The manifest is not JSON."
        if not isinstance(document, dict) or document.get("schemaVersion") != 2:
            return "The manifest’s schemaVersion is not 2."
    return foreign_layers.refusal(manifest)


def _announce(push: PushedManifest) -> _Announced:
    """Check the rules, and store what is about to be pushed, in one transaction.

    :raises ProtocolError: 403 when the rules do not allow the push.
    """
    digest = push.manifest.digest
    with pipelined_transaction():
        found = _look_up(push)
        adds_tag = bool(push.tag) and (found.row is None or found.row.tag is None)
        if refusal := refuse_push(found.caller, found.repository, is_indexed=push.is_indexed, adds_tag=adds_tag):
            raise denied(refusal)
        if found.is_doomed and not push.tag:
            pushed_manifest.spare(push.repository, digest, push.pushed_at)
        reservation = None
        if push.is_indexed:
            # The transaction that writes the index waits for both. If the database is killed before, the worker
            # reconciles all tags when it is back. A manifest without a tag is found by its digest alone.
            if push.tag:
                commit_without_waiting()
            reservation = reservations.reserve(push.repository, push.reference, push.pushed_at, push.pushed_by, digest)
        notified_at = pushed_digests.announce(push.repository, digest)
    return _Announced(found, reservation, {} if found.is_known else {digest: notified_at})


def _look_up(push: PushedManifest) -> Found:
    """The facts about a push; no other push takes the places that it may need before the end of the transaction."""

    def find() -> Found:
        digest = push.manifest.digest
        return lookup.find(push.pushed_by, push.repository, tag=push.tag, digest=digest, lock=bool(push.tag))

    found = find()
    if found.repository is None or found.image is not None or not push.is_indexed:
        return found
    # The push creates the image, which counts towards the owner's quota.
    lookup.lock_account(found.repository.owner)
    return find()


def _withdraw(push: PushedManifest, announced: _Announced) -> None:
    """Forget what was announced, because the registry did not take the manifest."""
    with pipelined_transaction():
        if announced.reservation is not None:
            reservations.release(announced.reservation)
        if announced.forget:
            pushed_digests.forget(push.repository, announced.forget)


def _is_there(push: PushedManifest, reference: str, found: Found) -> bool:
    """Whether the registry has the manifest already, and under the same tag, so that it need not be pushed again.

    Pushing it again would rewrite its links, and Distribution 2.8 empties them for a moment: another client's
    multi-platform index that names it is refused then. The registry is asked only if our index says that the manifest
    was pushed before.
    """
    digest = push.manifest.digest
    moves = push.tag and (found.row is None or found.row.digest != digest)
    if moves or not found.is_known or found.is_doomed:
        return False
    try:
        present = registry().resolve(push.repository, reference)
    except RegistryError:
        return False
    return present.media_type == push.manifest.media_type and present.digest == (
        reference if ":" in reference else digest
    )


def _put(push: PushedManifest, reference: str) -> None:
    """Push the manifest to the registry; a few attempts while another push rewrites what it names."""
    manifest = push.manifest
    for pause in _PAUSES:
        try:
            registry().put_manifest(push.repository, reference, manifest.content, manifest.media_type)
        except RegistryError as error:
            if not _may_be_half_written(push.repository, reference, error):
                raise
            log.info("%s:%s is pushed again: %s", push.repository, reference, error)
            time.sleep(pause)
        else:
            return
    registry().put_manifest(push.repository, reference, manifest.content, manifest.media_type)


def _may_be_half_written(repository: str, reference: str, error: RegistryError) -> bool:
    """Whether the registry refuses a manifest for a link that another push is rewriting at this moment.

    The digest was verified, so ``DIGEST_INVALID`` is about something that the manifest names; other algorithms than
    SHA-256 are never accepted. A blob or child that is said to be unknown counts if the registry has it now.
    """
    if error.code == "DIGEST_INVALID":
        return not reference.startswith("sha512:")
    if not isinstance(error, ManifestBlobUnknown):
        return False
    named = error.detail.get("digest") if isinstance(error.detail, dict) else error.detail
    return isinstance(named, str) and is_digest(named) and _has(repository, named)


def _has(repository: str, digest: str) -> bool:
    """Whether the repository has a manifest or a blob; asked twice, because its link may be empty the first time."""
    for _twice in range(2):
        for ask in (registry().resolve, registry().stat_blob):
            with suppress(RegistryError):
                ask(repository, digest)
                return True
        time.sleep(_PAUSES[0])
    return False


def _index(push: PushedManifest, found: Found, reservation: Reservation) -> None:
    """Write the manifest to the index. If that fails, the worker does it: the registry has taken the manifest."""
    try:
        account = found.caller.account_id if found.caller else ""
        pushed_manifest.sync_pushed_manifest(push, found.row, reservation, account, is_new=not found.has_row)
    except Exception as error:
        foreseen = isinstance(error, (LeftToWorker, RegistryError, DatabaseError, InterfaceError))
        log.warning("%s:%s is left to the worker: %s", push.repository, push.reference, error, exc_info=not foreseen)
        with suppress(DatabaseError, InterfaceError, ConnectorException):
            jobs.queue_repository(push.repository)
