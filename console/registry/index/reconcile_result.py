"""Result of reconciling one repository with the index."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class ReconcileResult:
    """What a comparison found and mended.

    ``unknown``: neither the registry nor the index knows the repository. ``nobodys``: it holds tags, but belongs to
    nobody. ``unreadable``: the tags that it holds and cannot give out, and why. ``adopted``: the Account ID that was
    given its namespace just now.
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
    nobodys: bool = False
    unknown: bool = False
    adopted: str = ""

    @property
    def changed(self) -> bool:
        """Whether anything was mended."""
        return bool(self.added or self.moved or self.put_back or self.forgotten or self.totals)

    def lines(self) -> list[str]:
        """What happened, a line each."""
        lines = [f"{self.repository}: its namespace now belongs to {self.adopted}"] if self.adopted else []
        lines += [f"{self.repository}:{tag}: added" for tag in self.added]
        lines += [f"{self.repository}:{tag}: moved" for tag in self.moved]
        lines += [f"{self.repository}:{tag}: the registry does not have it" for tag in self.missing]
        lines += [f"{self.repository}:{tag}: could not be read, and was restored" for tag in self.put_back]
        if self.forgotten:
            lines.append(f"{self.repository}: {self.forgotten} missing manifests removed from the index")
        if self.totals:
            lines.append(f"{self.repository}: totals corrected")
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
                "put_back": len(self.put_back),
                "forgotten": self.forgotten,
                "totals": int(self.totals),
                "problems": int(bool(self.problem)),
                "nobodys": int(self.nobodys),
                "adopted": int(bool(self.adopted)),
            }
        )
