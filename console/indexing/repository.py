"""Comparing one repository with the index."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from django.utils import timezone

from console.audit.services import record
from console.images.deletion import digest_of, is_tombstone
from console.images.models import Image, Manifest, Tag
from console.indexing.services import Outcome, Reader, find_image
from console.namespaces.models import Namespace
from console.policy import split_repository
from console.registry import at_once, registry
from registry_client import NameUnknown, RegistryError, RegistryUnavailable, Unauthorized

_AT_ONCE = 500


@dataclass
class Finding:
    """What a comparison found and mended."""

    repository: str
    known: int = 0
    added: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    forgotten: int = 0
    totals: bool = False
    problem: str = ""
    nobodys: bool = False

    def lines(self) -> list[str]:
        """What happened, a line each."""
        lines = [f"{self.repository}:{tag}: added" for tag in self.added]
        lines += [f"{self.repository}:{tag}: pointed elsewhere" for tag in self.moved]
        lines += [f"{self.repository}:{tag}: the registry does not have it" for tag in self.missing]
        if self.forgotten:
            lines.append(f"{self.repository}: {self.forgotten} manifests that are gone were forgotten")
        if self.totals:
            lines.append(f"{self.repository}: the totals were wrong and are mended")
        if self.problem:
            lines.append(f"{self.repository}: {self.problem}")
        return lines

    def counts(self) -> Counter[str]:
        """The same in numbers."""
        return Counter(
            {
                "known": self.known,
                "added": len(self.added),
                "moved": len(self.moved),
                "missing": len(self.missing),
                "forgotten": self.forgotten,
                "totals": int(self.totals),
                "problems": int(bool(self.problem)),
                "nobodys": int(self.nobodys),
            }
        )


def look_at(repository: str) -> Finding:
    """Bring the index of one repository in line with the registry; what is gone is only marked.

    :raises registry_client.RegistryError: when the registry cannot be asked.
    """
    finding = Finding(repository)
    parts = split_repository(repository)
    image = find_image(repository)
    if image is None and (parts is None or not Namespace.objects.filter(name=parts[0]).exists()):
        finding.nobodys = True
        finding.problem = (
            "is in the registry, but nobody owns its namespace" if parts else "its name cannot be used here"
        )
        return finding
    if image is not None and image.state != Image.State.ACTIVE:
        return finding
    rows = {}
    if image is not None:
        rows = {
            name: (digest, state)
            for name, digest, state in Tag.objects.filter(image=image).values_list("name", "manifest__digest", "state")
        }
    finding.known = len(rows)
    try:
        listed = set(registry().tags(repository))
    except NameUnknown:
        if rows:
            # Not a proof: a registry on an empty disk, or another one, says the same of everything.
            finding.problem = f"the registry does not know it; its {len(rows)} tags stay in the index"
        return finding
    reader = Reader(repository)
    unread = _unread(image)
    names = sorted(listed | set(rows))
    for start in range(0, len(names), _AT_ONCE):
        batch = names[start : start + _AT_ONCE]
        present = at_once(lambda name: digest_of(repository, name), batch)
        for name, digest in zip(batch, present, strict=True):
            _compare(reader, finding, name, digest, rows.get(name), listed, unread)
    if image is not None:
        finding.forgotten = _forget_gone_manifests(image)
    Tag.objects.filter(image=image, missing_at__isnull=False).exclude(name__in=finding.missing).update(missing_at=None)
    if finding.missing:
        Tag.objects.filter(image=image, name__in=finding.missing).update(missing_at=timezone.now())
    wrong = reader.settle()
    finding.totals = wrong and not (finding.added or finding.moved)
    if finding.added or finding.moved or finding.totals:
        record(
            "index.mended",
            repository,
            actor="reconcile",
            added=finding.added[:100],
            moved=finding.moved[:100],
            totals=finding.totals,
        )
    return finding


def _unread(image: Image | None) -> set[str]:
    """Digests of which the index has no more than their names: from before it kept more."""
    return set(Manifest.objects.filter(image=image, kind=Manifest.Kind.UNREAD).values_list("digest", flat=True))


def _compare(
    reader: Reader,
    finding: Finding,
    name: str,
    digest: str,
    row: tuple[str, str] | None,
    listed: set[str],
    unread: set[str],
) -> None:
    """One tag: what the registry has (``digest``, empty for nothing) against what the index has (``row``)."""
    if is_tombstone(digest) or (row is not None and row[1] == Tag.State.DELETING):
        return  # a deletion is at work on it
    if not digest:
        # Both answers say so: neither the list nor the tag itself names it.
        if row is not None and name not in listed:
            finding.missing.append(name)
        return
    if row is not None and row[0] == digest and digest not in unread:
        return
    try:
        outcome = reader.look(name)
    except (RegistryUnavailable, Unauthorized):
        raise
    except RegistryError as error:
        finding.problem = f"{name} cannot be read: {error}"
        return
    if outcome is Outcome.ADDED:
        finding.added.append(name)
    elif outcome is Outcome.MOVED:
        finding.moved.append(name)


def _forget_gone_manifests(image: Image) -> int:
    """Remove rows of manifests that no tag and no index names and that the registry does not have."""
    candidates = Manifest.objects.filter(image=image, tags=None, is_child=False)
    digests = list(candidates.values_list("digest", flat=True))
    present = at_once(lambda digest: digest_of(image.repository, digest), digests)
    gone = [digest for digest, found in zip(digests, present, strict=True) if not found]
    forgotten, _rows = Manifest.objects.filter(image=image, digest__in=gone, tags=None).delete()
    return forgotten
