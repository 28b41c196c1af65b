"""Delete a tag or a manifest through the gate (OCI distribution specification, "Content Management").

Distribution deletes by digest only. A tag is pointed at the tombstone, whose removal takes the tag along; its manifest
stays, as the specification has it, and can be deleted by its digest.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import NamedTuple

from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction
from procrastinate.exceptions import ConnectorException

from console.access.grants import refuse_write
from console.database.statements import with_prepared_statements
from console.gate import lookup
from console.gate.errors import denied, manifest_unknown, name_unknown
from console.gate.fairness import turn_of
from console.registry.connection import registry
from console.registry.contents import readable_digest
from console.registry.deletion.steps import untag
from console.registry.index import deleted, jobs, reservations
from console.registry.index.deleted import DeletedTag
from console.registry.index.reservations import Reservation
from console.registry.tombstone import is_tombstone, require_deletes
from console.repositories import pushed_digests
from console.repositories.models import Image
from registry_client import NotFound, is_digest

log = logging.getLogger(__name__)


def delete_manifest(repository: str, reference: str, username: str) -> None:
    """Delete a tag, or a manifest with all its tags.

    :param reference: a tag or a digest.
    :param username: of the account that deletes, from its token.
    :raises ProtocolError: when the rules do not allow it, or there is no such thing.
    :raises registry_client.RegistryError: when the registry fails; the worker syncs what it did.
    """
    with turn_of(username):
        _delete(repository, reference, username)


def _delete(repository: str, reference: str, username: str) -> None:
    change = with_prepared_statements(lambda: _announce(repository, reference, username))
    try:
        if is_digest(reference):
            registry().delete_manifest(repository, reference)
        else:
            _untag(repository, reference)
    except NotFound:
        _sync_later(repository, change)
        raise manifest_unknown(repository, reference) if change.image else name_unknown(repository) from None
    try:
        _forget(repository, reference, change)
    except (DatabaseError, InterfaceError, ConnectorException) as error:
        # The registry has deleted it: the hint stays, and the worker does the rest.
        log.warning("%s:%s is left to the worker: %s", repository, reference, error)


class _Announced(NamedTuple):
    """What is read and stored before a deletion: image, rows of the tags, the person's Account ID, and the hint."""

    image: Image | None
    rows: list[DeletedTag]
    account: str
    reservation: Reservation


def _announce(repository: str, reference: str, username: str) -> _Announced:
    """Check the rules, and store what is about to be deleted, in one transaction.

    :raises ProtocolError: 403 when the rules do not allow it.
    """
    with transaction.atomic():
        found = lookup.find(username, repository)
        if refusal := refuse_write(found.caller, found.repository, "delete"):
            raise denied(refusal)
        image = Image.objects.select_related("namespace").filter(full_name=repository).first()
        rows = deleted.rows_of(image, reference) if image else []
        account = found.caller.account_id if found.caller else ""
        return _Announced(image, rows, account, reservations.reserve(repository, reference))


def _untag(repository: str, tag: str) -> None:
    """Remove one tag; other tags of its manifest stay. A tag that is pushed at the same moment stays as well.

    :raises registry_client.NotFound: when there is no such tag.
    """
    digest = readable_digest(repository, tag)
    # None: its link is broken. The tombstone repairs it.
    if digest is not None and (not digest or is_tombstone(digest)):
        raise NotFound(f"{repository}:{tag}")
    if not settings.REGISTRY_IS_OURS:
        # With deletes off, the tag would be left at the tombstone.
        require_deletes(repository)
    if digest:
        # No tag may name it from now on: the deletion of the image has to know it.
        pushed_digests.remember([(repository, digest)])
    untag(repository, [tag], {tag: digest} if digest else None)


def _forget(repository: str, reference: str, change: _Announced) -> None:
    """Remove the rows of what was deleted."""
    if change.image is None:
        # Pushed by its digest, to a repository without tags; the first may be on its way.
        if is_digest(reference):
            reservations.keep_pushes_of(repository, reference)
        reservations.release(change.reservation)
    elif not deleted.forget(change.image, reference, change.rows, change.account, change.reservation):
        jobs.queue_repository(repository)


def _sync_later(repository: str, change: _Announced) -> None:
    """Leave the hint to the worker if the index has, or may get, what the registry does not; otherwise delete it."""
    if change.rows or not change.reservation.is_alone:
        with suppress(DatabaseError, InterfaceError, ConnectorException):
            jobs.queue_repository(repository)
    else:
        reservations.release(change.reservation)
