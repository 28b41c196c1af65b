"""Comparing one repository with the index."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import NamedTuple

from django.db import connection
from django.db.models import DateTimeField, Value
from django.utils import timezone

from console.accounts.models import Account
from console.audit.services import record
from console.images import pushed
from console.images.deletion import digest_of, is_tombstone, readable_digest
from console.images.locks import image_locked
from console.images.models import Document, Image, Manifest, Tag
from console.images.totals import refresh_totals
from console.indexing.adoption import adopt, why_unusable
from console.indexing.finding import Finding
from console.indexing.rows import Outcome
from console.indexing.services import Reader, find_image
from console.indexing.store import incomplete
from console.namespaces.models import Namespace
from console.policy import split_repository
from console.registry import at_once, registry
from registry_client import InvalidName, NameUnknown, RegistryError, RegistryUnavailable, Unauthorized
from registry_client.names import check_repository

_AT_ONCE = 500
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


def look_at(repository: str, *, adopt_for: Account | None = None) -> Finding:
    """Bring the index of one repository in line with the registry; what is gone is only marked.

    :param adopt_for: who is given the repository's namespace when nobody has it.
    :raises registry_client.RegistryError: when the registry cannot be asked.
    """
    finding = Finding(repository)
    try:
        check_repository(repository)
    except InvalidName:
        finding.problem = "this is not the name of a repository"
        return finding
    image = find_image(repository)
    if image is not None and image.state != Image.State.ACTIVE:
        return finding  # its deletion is at work
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
    reader = Reader(repository)
    try:
        for name, digest in _present(finding, sorted(listed.union(known)), image, known):
            _compare(reader, finding, name, digest, known.get(name), listed)
    except RegistryError:
        _settle(reader, image, finding)
        raise
    _mark(image, known, finding)
    if image is not None:
        finding.forgotten = forget_gone_manifests(image)
    _settle(reader, image, finding)
    return finding


def _settle(reader: Reader, image: Image | None, finding: Finding) -> None:
    """Check the totals, and put what was mended on record."""
    changed = bool(finding.added or finding.moved)
    if image is None:
        reader.settle()
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


def _has_owner(finding: Finding, adopt_for: Account | None) -> bool:
    """Whether the images of a repository that is not indexed yet belong to somebody, perhaps from now on."""
    unusable = why_unusable(finding.repository)
    parts = split_repository(finding.repository)
    if parts is not None and Namespace.objects.filter(name=parts[0]).exists():
        return True
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
    finding: Finding, names: list[str], image: Image | None, known: dict[str, _Known]
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


def _put_back(image: Image, name: str, known: _Known) -> bool:
    """Point a tag whose link is broken at what the index says it pointed at; whether it can be read again.

    A registry that dies, or whose disk is full, while it moves a tag leaves a link that leads nowhere. The index has
    the manifest's bytes, and what the manifest names is still there.
    """
    document = Document.objects.filter(digest=known.digest).first()
    if document is None or known.state == Tag.State.DELETING or readable_digest(image.repository, name) is not None:
        return False  # pushed anew meanwhile, perhaps: the next walk reads it
    try:
        registry().put_manifest(image.repository, name, bytes(document.content), document.media_type)
        return digest_of(image.repository, name) == known.digest
    except RegistryError as error:
        raise_if_down(error)
        return False


def _compare(reader: Reader, finding: Finding, name: str, digest: str, known: _Known | None, listed: set[str]) -> None:
    """One tag: what the registry has (``digest``, empty for nothing) against what the index has."""
    if is_tombstone(digest) or (known is not None and known.state == Tag.State.DELETING):
        return  # a deletion is at work on it
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
        outcome = reader.look(name)
    except RegistryError as error:
        raise_if_down(error)
        finding.problem = f"{name} cannot be read: {error}"
        return
    if outcome is Outcome.ADDED:
        finding.added.append(name)
    elif outcome is Outcome.MOVED:
        finding.moved.append(name)


def _mark(image: Image | None, known: dict[str, _Known], finding: Finding) -> None:
    """Mark what is missing, and take the mark from what is not, or not proven to be."""
    missing = set(finding.missing)
    back = [name for name, row in known.items() if row.marked and name not in missing]
    fresh = [name for name in finding.missing if not known[name].marked]
    if image is not None and (back or fresh):
        with image_locked(image.pk):
            Tag.objects.filter(image=image, name__in=back).update(missing_at=None)
            Tag.objects.filter(image=image, name__in=fresh).update(missing_at=timezone.now())


# --- manifests ------------------------------------------------------------------------------------------------------

# The manifests that were children of an index, and that no index names any more.
_NOBODYS_CHILDREN = """
UPDATE images_manifest SET is_child = false WHERE image_id = %s AND is_child AND digest NOT IN (
    SELECT child ->> 'digest' FROM images_manifest AS parent CROSS JOIN jsonb_array_elements(parent.children) AS child
    WHERE parent.image_id = %s AND child ->> 'digest' IS NOT NULL
)
"""


def forget_gone_manifests(image: Image) -> int:
    """Remove rows of manifests that no tag and no index names and that the registry does not have; how many.

    What was pushed and is not indexed is forgotten too when it is gone.

    :raises registry_client.RegistryError: when the registry does not answer.
    """
    forgotten = 0
    while now := sum(_forget_those(image, digests) for digests in _untagged(image)):
        forgotten += now
        with image_locked(image.pk), connection.cursor() as cursor:
            cursor.execute(_NOBODYS_CHILDREN, [image.pk, image.pk])
    return forgotten


def _untagged(image: Image) -> Iterator[dict[str, datetime.datetime | None]]:
    """The digests that neither a tag nor an index names, and that no deletion is at work on, some at a time.

    For one that was pushed and is not indexed, with the time when that was last told of.
    """
    untagged = Manifest.objects.filter(image=image, tags=None, is_child=False, doomed=False)
    manifests = untagged.order_by("digest").values_list("digest", Value(None, DateTimeField()))
    pushes = pushed.unindexed(image).order_by("digest").values_list("digest", "told_at")
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
        pushed.forget(image.repository, pushes)
    manifests = [digest for digest, moment in gone if moment is None]
    if not manifests:
        return 0
    # The lock keeps a push of one of them from being indexed in between.
    with image_locked(image.pk):
        rows = Manifest.objects.filter(image=image, digest__in=manifests, tags=None, is_child=False, doomed=False)
        forgotten, _by_table = rows.delete()
    return forgotten
