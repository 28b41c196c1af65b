"""Running a case against a registry, and recording what each of its checks found."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests

from tests.conformance.answers import Nonconforming, Unsupported
from tests.conformance.sections import Section
from tests.conformance.target import Target


class Outcome(enum.StrEnum):
    """What a check found."""

    PASSED = "passed"
    FAILED = "failed"
    # The answer is one that the specification allows a registry that does not have this optional feature.
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Result:
    """The outcome of one check.

    :param check: its name: the case's, a slash, and its own.
    :param answer: what was wrong with the registry's answer; empty if it passed.
    """

    check: str
    section: Section
    outcome: Outcome
    answer: str = ""

    def __str__(self) -> str:
        return f"{self.outcome}: {self.answer}" if self.answer else str(self.outcome)


@dataclass
class Run:
    """One run of one case. Each has repositories of its own."""

    case: str
    target: Target
    results: list[Result] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def new_repository(self) -> str:
        """The name of a repository that does not exist yet."""
        return self.target.repository_name(f"{self.case}-{next(self._numbers)}")

    @contextmanager
    def check(self, name: str, section: Section) -> Iterator[None]:
        """Record whether the block gets the answers that the specification asks for.

        A check whose block needs the answer of an earlier one that failed fails as well.
        """
        outcome, answer = Outcome.PASSED, ""
        try:
            yield
        except Nonconforming as error:
            outcome, answer = Outcome.FAILED, str(error)
        except Unsupported as error:
            outcome, answer = Outcome.UNSUPPORTED, str(error)
        except requests.RequestException as error:
            outcome, answer = Outcome.FAILED, type(error).__name__
        self.results.append(Result(f"{self.case}/{name}", section, outcome, answer))


@dataclass(frozen=True)
class Case:
    """Some checks that belong together, in order, independent of other cases."""

    name: str
    function: Callable[[Run], None]

    def run(self, target: Target) -> list[Result]:
        """Run all checks against ``target``; names of checks are unique."""
        run = Run(self.name, target)
        self.function(run)
        names = [result.check for result in run.results]
        assert len(names) == len(set(names)), f"two checks have the same name: {names}"
        return run.results
