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
# So many tags of one repository may be unreadable before it is the repository that is.
_MOST_UNREADABLE = 20


class _Known(NamedTuple):
    """What the index has of a tag."""

    digest: str
    kind: str
    state: str
    marked: bool


def raise_if_down(error: RegistryError) -> None:
    """Return when ``error`` concerns what was asked for alone.

    :raises registry_client.RegistryError: when the registry as a whole does not answer, or does not let us in.
    """
    if isinstance(error, RegistryUnavailable | Unauthorized):
        registry().ping()


def reconcile_one(repository: str, *, adopt_for: Account | None = None) -> ReconcileResult:
    """Bring the index of one repository in line with the registry; what is gone is only marked.

    :param adopt_for: who is given the repository's namespace when nobody has it.
    :raises registry_client.RegistryError: when the registry cannot be asked.
    """
    finding = ReconcileResult(repository)
    try:
        check_repository(repository)
    except InvalidName:
        finding.problem = "this is not the name of a repository"
        return finding
    image = _find(repository)
    if image is not None and image.state != Image.State.ACTIVE:
        return finding  # its deletion is at work
    if image is not None and image.namespace.in_transfer:
        return finding  # it changes hands: what is pushed meanwhile is taken back
    known = _known(image)
    finding.known = len(known)
    try:
        listed = set(registry().tags(repository))
    except NameUnknown:
        finding.unknown = image is None
        if known:
            # Not a proof: a registry on an empty disk, or another one, says the same of everything.
            finding.problem = f"the registry does not know it; its {len(known):,} tags stay in the index"
            _mark(image, known, finding)
        return finding
    if image is None and not (listed and _has_owner(finding, adopt_for)):
        return finding
    reader = TagSync(repository, lenient=True)
    try:
        for name, digest in _present(finding, sorted(listed.union(known)), image, known):
            _compare(reader, finding, name, digest, known.get(name), listed)
    except RegistryError:
        _settle(reader, image, finding)
        raise
    _mark(image, known, finding)
    if image is not None:
        if image.has_pushed:  # type: ignore[attr-defined]
            _index_subjects(reader, image)
        finding.forgotten = forget_gone_manifests(image)
    if finding.unreadable or (image is not None and image.has_failures):  # type: ignore[attr-defined]
        _note_unreadable(repository, finding)
    _settle(reader, image, finding)
    return finding


def _find(repository: str) -> Image | None:
    """The image, and whether it ``has_pushed`` digests and ``has_failures``: one query for all of it."""
    return (
        Image.objects.select_related("namespace")
        .annotate(
            has_pushed=Exists(PushedDigest.objects.filter(repository=OuterRef("full_name"))),
            has_failures=Exists(WorkFailure.objects.filter(repository=OuterRef("full_name"), kind=Kind.INDEX)),
        )
        .filter(full_name=repository)
        .first()
    )


def _index_subjects(reader: TagSync, image: Image) -> None:
    """Index what was pushed by its digest alone and names a subject, where its notification led to nothing.

    The registry cannot list manifests without a tag: what no notification named is not found. What is older than a
    day was asked for often enough.
    """
    since = timezone.now() - _ASKED_FOR
    fresh = pushed_digests.unindexed(image).filter(told_at__gte=since)
    for digest, told_at in list(fresh.values_list("digest", "told_at")):
        try:
            reader.sync_tag(digest, pushed_at=told_at)
        except RegistryError as error:
            raise_if_down(error)


def _note_unreadable(repository: str, finding: ReconcileResult) -> None:
    """Record the tags that the registry lists and cannot read, for the pages; forget those that it can read again.

    Failures that are still being counted belong to hints, and those of digests are no tags': the registry does not list
    them.
    """
    for name, detail in finding.unreadable.items():
        failures.give_up(Kind.INDEX, repository, name, sentence=UNREADABLE, detail=detail)
    known = WorkFailure.objects.filter(kind=Kind.INDEX, repository=repository, given_up_at__isnull=False)
    known.exclude(reference__contains=":").exclude(reference__in=finding.unreadable).delete()


def _settle(reader: TagSync, image: Image | None, finding: ReconcileResult) -> None:
    """Check the totals, and put what was mended on record."""
    changed = bool(finding.added or finding.moved)
    if image is None:
        reader.refresh_totals()
    else:
        finding.totals = refresh_totals(image.pk, changed=changed) and not changed
    if finding.changed:
        record(
            "index.mended",
            finding.repository,
            actor="reconcile",
            added=finding.added[:100],
            moved=finding.moved[:100],
            put_back=finding.put_back[:100],
            added_in_all=len(finding.added),
            moved_in_all=len(finding.moved),
            forgotten=finding.forgotten,
            totals=finding.totals,
        )


def _known(image: Image | None) -> dict[str, _Known]:
    """The tags in the index. The largest image is what a walk holds in memory at once."""
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


def _has_owner(finding: ReconcileResult, adopt_for: Account | None) -> bool:
    """Whether the images of a repository that is not indexed yet belong to somebody, perhaps from now on."""
    unusable = why_unusable(finding.repository)
    parts = split_repository(finding.repository)
    namespace = Namespace.objects.filter(name=parts[0]).first() if parts is not None else None
    if namespace is not None:
        return not namespace.in_transfer  # what is pushed while it changes hands is removed
    if adopt_for is None:
        reason = unusable or "nobody owns its namespace"
    else:
        reason = unusable or adopt(finding.repository, adopt_for)
        finding.adopted = "" if reason else adopt_for.account_id
    if reason:
        finding.nobodys = True
        finding.problem = f"is in the registry, but {reason}"
    return not reason


def _present(
    finding: ReconcileResult, names: list[str], image: Image | None, known: dict[str, _Known]
) -> Iterator[tuple[str, str]]:
    """What each tag points at in the registry, empty for nothing.

    A tag that cannot be read is put back where the index has it, or told of and left out.
    """
    failed: list[str] = []

    def ask(name: str) -> str | None:
        try:
            return digest_of(finding.repository, name)
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
                finding.put_back.append(name)
                yield name, known[name].digest
            else:
                finding.problem = problems[name]
                finding.unreadable[name] = problems[name]


def _put_back(image: Image, name: str, known: _Known) -> bool:
    """Point a tag whose link is broken at what the index says it pointed at; whether it can be read again.

    A registry that dies, or whose disk is full, while it moves a tag leaves a link that leads nowhere. The index has
    the manifest's bytes, and what the manifest names is still there.
    """
    stored = stored_manifest(image.repository, known.digest)
    if stored is None or known.state == Tag.State.DELETING or readable_digest(image.repository, name) is not None:
        return False  # pushed anew meanwhile, perhaps: the next walk reads it
    try:
        registry().put_manifest(image.repository, name, *stored)
        return digest_of(image.repository, name) == known.digest
    except RegistryError as error:
        raise_if_down(error)
        return False


def _compare(
    reader: TagSync, finding: ReconcileResult, name: str, digest: str, known: _Known | None, listed: set[str]
) -> None:
    """One tag: what the registry has (``digest``, empty for nothing) against what the index has."""
    if known is not None and known.state == Tag.State.DELETING:
        return  # a deletion is at work on it
    if is_tombstone(digest):
        if known is not None:
            reader.sync_tag(name)  # left by a deletion that was given up
        return
    if not digest:
        # Gone is what neither the list nor the tag itself knows.
        if name in listed:
            finding.problem = f"{name} is listed, but the registry does not have it"
        elif known is not None:
            finding.missing.append(name)
        return
    if known is not None and known.digest == digest and known.kind != Manifest.Kind.UNREAD:
        return
    try:
        outcome = reader.sync_tag(name)
    except RegistryError as error:
        raise_if_down(error)
        finding.problem = finding.unreadable[name] = f"{name} cannot be read: {error}"
        return
    if outcome is Outcome.ADDED:
        finding.added.append(name)
    elif outcome is Outcome.MOVED:
        finding.moved.append(name)


def _mark(image: Image | None, known: dict[str, _Known], finding: ReconcileResult) -> None:
    """Mark what is missing, and take the mark from what is not, or not proven to be."""
    missing = set(finding.missing)
    back = [name for name, row in known.items() if row.marked and name not in missing]
    fresh = [name for name in finding.missing if not known[name].marked]
    if image is not None and (back or fresh):
        with image_locked(image.pk):
            Tag.objects.filter(image=image, name__in=back).update(missing_at=None)
            Tag.objects.filter(image=image, name__in=fresh).update(missing_at=timezone.now())


# --- manifests ------------------------------------------------------------------------------------------------------


def forget_gone_manifests(image: Image) -> int:
    """Remove rows of manifests that no tag and no index names and that the registry does not have; how many.

    What was pushed and is not indexed is forgotten too when it is gone.

    :raises registry_client.RegistryError: when the registry does not answer.
    """
    forgotten = 0
    while now := sum(_forget_those(image, digests) for digests in _untagged(image)):
        forgotten += now
        with image_locked(image.pk):
            clear_child_flags(image)
    return forgotten


def _untagged(image: Image) -> Iterator[dict[str, datetime.datetime | None]]:
    """The digests that neither a tag nor an index names, and that no deletion is at work on, some at a time.

    For one that was pushed and is not indexed, with the time when that was last told of.
    """
    untagged = Manifest.objects.filter(image=image, tags=None, is_child=False, doomed=False)
    manifests = untagged.order_by("digest").values_list("digest", Value(None, DateTimeField()))
    pushes = pushed_digests.unindexed(image).order_by("digest").values_list("digest", "told_at")
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


def _forget_those(image: Image, told: dict[str, datetime.datetime | None]) -> int:
    def is_gone(digest: str) -> bool:
        try:
            return not digest_of(image.repository, digest)
        except RegistryError as error:
            raise_if_down(error)
            return False

    answers = zip(told.items(), at_once(is_gone, told), strict=True)
    gone = [one for one, answer in answers if answer]
    if pushes := {digest: moment for digest, moment in gone if moment is not None}:
        pushed_digests.forget(image.repository, pushes)
    manifests = [digest for digest, moment in gone if moment is None]
    if not manifests:
        return 0
    # The lock keeps a push of one of them from being indexed in between.
    with image_locked(image.pk):
        rows = Manifest.objects.filter(image=image, digest__in=manifests, tags=None, is_child=False, doomed=False)
        forgotten, _by_table = rows.delete()
    return forgotten
