"""Reconcile one repository with the index."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import NamedTuple

from django.db.models import DateTimeField, Exists, OuterRef, Value
from django.utils import timezone

from console.access.names import split_repository
from console.accounts.models import Account
from console.audit.services import record
from console.namespaces.models import Namespace
from console.registry.connection import at_once, registry
from console.registry.contents import digest_of, readable_digest, stored_manifest
from console.registry.index.adoption import adopt, why_unusable
from console.registry.index.reconcile_result import ReconcileResult
from console.registry.index.store import clear_child_flags, incomplete
from console.registry.index.sync import UNREADABLE, TagSync
from console.registry.index.tag_rows import Outcome
from console.registry.tombstone import is_tombstone
from console.repositories import failures, pushed_digests
from console.repositories.failures import Kind
from console.repositories.locks import image_locked
from console.repositories.models import Image, Manifest, PushedDigest, Tag, WorkFailure
from console.repositories.totals import refresh_totals
from registry_client import InvalidName, NameUnknown, RegistryError, RegistryUnavailable, Unauthorized
from registry_client.names import check_repository

_AT_ONCE = 500
_ASKED_FOR = datetime.timedelta(days=1)
# If more tags of one repository are unreadable, the whole repository counts as unreadable.
_MOST_UNREADABLE = 20


class _Known(NamedTuple):
    """A tag in the index."""

    digest: str
    kind: str
    state: str
    marked: bool


def raise_if_down(error: RegistryError) -> None:
    """Check after ``error`` whether the registry is down; returns if only the requested item is affected.

    :raises registry_client.RegistryError: when the registry does not answer, or rejects the console's token.
    """
    if isinstance(error, RegistryUnavailable | Unauthorized):
        registry().ping()


def reconcile_one(repository: str, *, adopt_for: Account | None = None) -> ReconcileResult:
    """Reconcile the index of one repository with the registry; tags that are gone are only marked.

    :param adopt_for: the account that gets the repository's namespace if it does not exist.
    :raises registry_client.RegistryError: when the registry does not answer.
    """
    result = ReconcileResult(repository)
    try:
        check_repository(repository)
    except InvalidName:
        result.problem = "this is not the name of a repository"
        return result
    image = _find(repository)
    if image is not None and image.state != Image.State.ACTIVE:
        return result  # it is being deleted
    if image is not None and image.namespace.in_transfer:
        return result  # the clearing after the transfer deletes what is pushed meanwhile
    known = _known(image)
    result.known = len(known)
    try:
        listed = set(registry().tags(repository))
    except NameUnknown:
        result.unknown = image is None
        if known:
            # No proof: a registry with an empty disk, or another one, answers the same for every repository.
            result.problem = f"the registry does not know it; its {len(known):,} tags stay in the index"
            _mark(image, known, result)
        return result
    if image is None and not (listed and _has_owner(result, adopt_for)):
        return result
    tag_sync = TagSync(repository, lenient=True)
    try:
        for name, digest in _present(result, sorted(listed.union(known)), image, known):
            _compare(tag_sync, result, name, digest, known.get(name), listed)
    except RegistryError:
        _settle(tag_sync, image, result)
        raise
    _mark(image, known, result)
    if image is not None:
        if image.has_pushed:  # type: ignore[attr-defined]
            _index_subjects(tag_sync, image)
        result.forgotten = forget_gone_manifests(image)
    if result.unreadable or (image is not None and image.has_failures):  # type: ignore[attr-defined]
        _note_unreadable(repository, result)
    _settle(tag_sync, image, result)
    return result


def _find(repository: str) -> Image | None:
    """The image, annotated with ``has_pushed`` (digests) and ``has_failures``, in one query."""
    return (
        Image.objects.select_related("namespace")
        .annotate(
            has_pushed=Exists(PushedDigest.objects.filter(repository=OuterRef("full_name"))),
            has_failures=Exists(WorkFailure.objects.filter(repository=OuterRef("full_name"), kind=Kind.INDEX)),
        )
        .filter(full_name=repository)
        .first()
    )


def _index_subjects(tag_sync: TagSync, image: Image) -> None:
    """Sync untagged manifests with a subject that are not indexed although there was a notification.

    The registry cannot list untagged manifests, so those without a notification are not found. After a day it is not
    tried again.
    """
    since = timezone.now() - _ASKED_FOR
    fresh = pushed_digests.unindexed(image).filter(notified_at__gte=since)
    for digest, notified_at in list(fresh.values_list("digest", "notified_at")):
        try:
            tag_sync.sync_tag(digest, pushed_at=notified_at)
        except RegistryError as error:
            raise_if_down(error)


def _note_unreadable(repository: str, result: ReconcileResult) -> None:
    """Record failures of listed tags that the registry cannot read; delete those of tags that are readable again.

    Failures that are still being retried belong to hints, and those of digests concern no tags; both are not changed.
    """
    for name, detail in result.unreadable.items():
        failures.give_up(Kind.INDEX, repository, name, sentence=UNREADABLE, detail=detail)
    known = WorkFailure.objects.filter(kind=Kind.INDEX, repository=repository, given_up_at__isnull=False)
    known.exclude(reference__contains=":").exclude(reference__in=result.unreadable).delete()


def _settle(tag_sync: TagSync, image: Image | None, result: ReconcileResult) -> None:
    """Check the totals, and record an audit event of the changes."""
    changed = bool(result.added or result.moved)
    if image is None:
        tag_sync.refresh_totals()
    else:
        result.totals = refresh_totals(image.pk, changed=changed) and not changed
    if result.changed:
        record(
            "index.mended",
            result.repository,
            actor="reconcile",
            added=result.added[:100],
            moved=result.moved[:100],
            put_back=result.put_back[:100],
            added_in_all=len(result.added),
            moved_in_all=len(result.moved),
            forgotten=result.forgotten,
            totals=result.totals,
        )


def _known(image: Image | None) -> dict[str, _Known]:
    """The tags in the index, all in memory at once."""
    if image is None:
        return {}
    rows = list(
        Tag.objects.filter(image=image).values_list("name", "manifest__digest", "manifest__kind", "state", "missing_at")
    )
    indexes = any(kind in (Manifest.Kind.INDEX, Manifest.Kind.ARTIFACT) for _name, _digest, kind, *_rest in rows)
    unread = incomplete(image) if indexes else set()
    return {
        name: _Known(digest, Manifest.Kind.UNREAD if digest in unread else kind, state, gone is not None)
        for name, digest, kind, state, gone in rows
    }


def _has_owner(result: ReconcileResult, adopt_for: Account | None) -> bool:
    """Whether the namespace of a repository that is not indexed has an owner, or gets one now (``adopt_for``)."""
    unusable = why_unusable(result.repository)
    parts = split_repository(result.repository)
    namespace = Namespace.objects.filter(name=parts[0]).first() if parts is not None else None
    if namespace is not None:
        return not namespace.in_transfer  # the clearing after the transfer deletes what is pushed meanwhile
    if adopt_for is None:
        reason = unusable or "its namespace has no owner"
    else:
        reason = unusable or adopt(result.repository, adopt_for)
        result.adopted = "" if reason else adopt_for.account_id
    if reason:
        result.unowned = True
        result.problem = f"is in the registry, but {reason}"
    return not reason


def _present(
    result: ReconcileResult, names: list[str], image: Image | None, known: dict[str, _Known]
) -> Iterator[tuple[str, str]]:
    """Each tag with its digest in the registry; an empty digest if it does not exist.

    A tag that cannot be read is restored from the index if possible, otherwise reported and skipped.
    """
    failed: list[str] = []

    def ask(name: str) -> str | None:
        try:
            return digest_of(result.repository, name)
        except RegistryError as error:
            raise_if_down(error)
            failed.append(name)
            if len(failed) > _MOST_UNREADABLE:
                raise
            problems[name] = f"{name} cannot be read: {error}"
            return None

    problems: dict[str, str] = {}
    for start in range(0, len(names), _AT_ONCE):
        batch = names[start : start + _AT_ONCE]
        for name, digest in zip(batch, at_once(ask, batch), strict=True):
            if digest is not None:
                yield name, digest
            elif image is not None and name in known and _put_back(image, name, known[name]):
                result.put_back.append(name)
                yield name, known[name].digest
            else:
                result.problem = problems[name]
                result.unreadable[name] = problems[name]


def _put_back(image: Image, name: str, known: _Known) -> bool:
    """Restore a broken tag with the manifest in the index; returns whether the tag is readable again.

    A registry that is killed, or whose disk is full, while it writes a tag leaves a dangling link. The index has the
    manifest's bytes, and the registry still has its blobs.
    """
    stored = stored_manifest(image.repository, known.digest)
    if stored is None or known.state == Tag.State.DELETING or readable_digest(image.repository, name) is not None:
        return False  # perhaps pushed again meanwhile: the next run reads it
    try:
        registry().put_manifest(image.repository, name, *stored)
        return digest_of(image.repository, name) == known.digest
    except RegistryError as error:
        raise_if_down(error)
        return False


def _compare(
    tag_sync: TagSync, result: ReconcileResult, name: str, digest: str, known: _Known | None, listed: set[str]
) -> None:
    """Compare a tag in the registry (``digest``, empty if it does not exist) with the index, and sync it."""
    if known is not None and known.state == Tag.State.DELETING:
        return  # it is being deleted
    if is_tombstone(digest):
        if known is not None:
            tag_sync.sync_tag(name)  # left by a deletion that was given up
        return
    if not digest:
        # Proof of a missing tag: neither the list nor the request for the tag itself knows it.
        if name in listed:
            result.problem = f"{name} is listed, but the registry does not have it"
        elif known is not None:
            result.missing.append(name)
        return
    if known is not None and known.digest == digest and known.kind != Manifest.Kind.UNREAD:
        return
    try:
        outcome = tag_sync.sync_tag(name)
    except RegistryError as error:
        raise_if_down(error)
        result.problem = result.unreadable[name] = f"{name} cannot be read: {error}"
        return
    if outcome is Outcome.ADDED:
        result.added.append(name)
    elif outcome is Outcome.MOVED:
        result.moved.append(name)


def _mark(image: Image | None, known: dict[str, _Known], result: ReconcileResult) -> None:
    """Mark missing tags, and unmark those that are not proven to be missing."""
    missing = set(result.missing)
    back = [name for name, row in known.items() if row.marked and name not in missing]
    fresh = [name for name in result.missing if not known[name].marked]
    if image is not None and (back or fresh):
        with image_locked(image.pk):
            Tag.objects.filter(image=image, name__in=back).update(missing_at=None)
            Tag.objects.filter(image=image, name__in=fresh).update(missing_at=timezone.now())


# --- manifests ------------------------------------------------------------------------------------------------------


def forget_gone_manifests(image: Image) -> int:
    """Remove rows of manifests that no tag and no index names and that the registry does not have; returns how many.

    Pushed digests that are not indexed are removed too when the registry does not have them.

    :raises registry_client.RegistryError: when the registry does not answer.
    """
    forgotten = 0
    while now := sum(_forget_those(image, digests) for digests in _untagged(image)):
        forgotten += now
        with image_locked(image.pk):
            clear_child_flags(image)
    return forgotten


def _untagged(image: Image) -> Iterator[dict[str, datetime.datetime | None]]:
    """The digests that neither a tag nor an index names, and that are not being deleted, in batches.

    A pushed digest that is not indexed has the time of its last notification.
    """
    untagged = Manifest.objects.filter(image=image, tags=None, is_child=False, doomed=False)
    manifests = untagged.order_by("digest").values_list("digest", Value(None, DateTimeField()))
    pushes = pushed_digests.unindexed(image).order_by("digest").values_list("digest", "notified_at")
    last = ""
    while True:
        more = pushes.filter(digest__gt=last)[:_AT_ONCE]
        both = manifests.filter(digest__gt=last)[:_AT_ONCE].union(more, all=True)
        batch = dict(both.order_by("digest")[:_AT_ONCE])
        if batch:
            yield batch
        if len(batch) < _AT_ONCE:
            return
        last = next(reversed(batch))


def _forget_those(image: Image, notified: dict[str, datetime.datetime | None]) -> int:
    def is_gone(digest: str) -> bool:
        try:
            return not digest_of(image.repository, digest)
        except RegistryError as error:
            raise_if_down(error)
            return False

    answers = zip(notified.items(), at_once(is_gone, notified), strict=True)
    gone = [one for one, answer in answers if answer]
    if pushes := {digest: moment for digest, moment in gone if moment is not None}:
        pushed_digests.forget(image.repository, pushes)
    manifests = [digest for digest, moment in gone if moment is None]
    if not manifests:
        return 0
    # The lock prevents a race with the sync of a push of one of them.
    with image_locked(image.pk):
        rows = Manifest.objects.filter(image=image, digest__in=manifests, tags=None, is_child=False, doomed=False)
        forgotten, _by_table = rows.delete()
    return forgotten
