"""What the clients of an installation know: what they were told is done, and what may or may not be."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

# A tag that is not there.
ABSENT = ""


@dataclass(frozen=True)
class Made:
    """A manifest that was made for a push."""

    digest: str
    media_type: str
    content: bytes
    blobs: tuple[str, ...] = ()
    children: tuple[Made, ...] = ()


@dataclass
class Ledger:
    """Each image and each tag is changed by one thread alone; the whole is read when all of them rest.

    ``tags`` says what each tag may point at: one digest where the client knows, several where an answer never came.
    ``images`` says the same of images: whether each may be there, and whether it may be gone.
    """

    tags: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    images: dict[str, set[bool]] = field(default_factory=dict)
    made: dict[str, Made] = field(default_factory=dict)
    # Digests that went with their tag: nothing else names them.
    gone: set[tuple[str, str]] = field(default_factory=set)
    proven: set[tuple[str, str, str]] = field(default_factory=set)
    operations: Counter = field(default_factory=Counter)
    refusals: Counter = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)
    # Answers of 500 and more that nobody can make anything of.
    speechless: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, verb: str, seen: str) -> None:
        """Count an operation; ``seen`` is what the client was told: confirmed, refused or unknown."""
        with self.lock:
            self.operations[verb, seen] += 1

    def confirmed(self) -> int:
        """How many operations the clients saw succeed."""
        with self.lock:
            return sum(number for (_verb, seen), number in self.operations.items() if seen == "confirmed")

    def refuse(self, why: str) -> None:
        """Count a refusal by what was said."""
        with self.lock:
            self.refusals[why] += 1

    def lose(self, what: str) -> None:
        """Something that was confirmed is not so."""
        with self.lock:
            self.losses.append(what)

    def certain(self, repository: str) -> dict[str, str]:
        """The tags of a repository that are there for certain, with their digests."""
        return {
            tag: next(iter(possible))
            for (name, tag), possible in list(self.tags.items())
            if name == repository and len(possible) == 1 and ABSENT not in possible
        }
