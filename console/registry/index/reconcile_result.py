"""Result of reconciling one repository with the index."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class ReconcileResult:
    """Differences that were found and corrected in one repository.

    ``unknown``: neither the registry nor the index knows the repository. ``unowned``: it has tags, but no owner.
    ``unreadable``: the tags that the registry cannot read, with the error. ``adopted``: the Account ID that got its
    namespace in this run.
    """

    repository: str
    known: int = 0
    added: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    put_back: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    forgotten: int = 0
    totals: bool = False
    problem: str = ""
    unowned: bool = False
    unknown: bool = False
    adopted: str = ""

    @property
    def changed(self) -> bool:
        """Whether anything was corrected."""
        return bool(self.added or self.moved or self.put_back or self.forgotten or self.totals)

    def lines(self) -> list[str]:
        """Report lines: one for each change and each problem."""
        lines = [f"{self.repository}: its namespace now belongs to {self.adopted}"] if self.adopted else []
        lines += [f"{self.repository}:{tag}: added" for tag in self.added]
        lines += [f"{self.repository}:{tag}: moved" for tag in self.moved]
        lines += [f"{self.repository}:{tag}: the registry does not have it" for tag in self.missing]
        lines += [f"{self.repository}:{tag}: could not be read, and was restored" for tag in self.put_back]
        if self.forgotten:
            lines.append(f"{self.repository}: {self.forgotten} manifests are gone, and were removed")
        if self.totals:
            lines.append(f"{self.repository}: the totals were wrong, and were corrected")
        if self.problem:
            lines.append(f"{self.repository}: {self.problem}")
        return lines

    def counts(self) -> Counter[str]:
        """The report in numbers."""
        return Counter(
            {
                "known": self.known,
                "added": len(self.added),
                "moved": len(self.moved),
                "missing": len(self.missing),
                "put_back": len(self.put_back),
                "forgotten": self.forgotten,
                "totals": int(self.totals),
                "problems": int(bool(self.problem)),
                "nobodys": int(self.unowned),
                "adopted": int(bool(self.adopted)),
            }
        )
