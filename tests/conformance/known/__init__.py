"""The checks that a registry is known not to pass, and the comparison of a run with them.

``reasons.toml`` says what the registry does and how it can be mended; a file for each registry lists the checks, by
reason and answer.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.conformance.run import Outcome, Result

_FOLDER = Path(__file__).parent
BARE, PRODUCT = "bare registry", "product"
REGISTRIES = (BARE, PRODUCT)


def reasons() -> dict[str, dict[str, str]]:
    """Of each reason, ``reason``: what the registry does, and ``mend``: how it can be mended from outside."""
    return _read("reasons")


def by_reason(registry: str) -> dict[str, dict[str, str]]:
    """The answers of a registry by reason and check, as ``str`` makes them of a result."""
    found = {
        reason: {check: answer for answer, checks in answers.items() for check in checks}
        for reason, answers in _read(registry.replace(" ", "_")).items()
    }
    names = [check for checks in found.values() for check in checks]
    assert len(names) == len(set(names)), f"{registry}: a check is listed twice"
    return found


def answers(registry: str) -> dict[str, str]:
    """The answers of a registry by check."""
    return {check: answer for checks in by_reason(registry).values() for check, answer in checks.items()}


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text())


def differences(case: str, results: Iterable[Result], known: Mapping[str, str]) -> list[str]:
    """What differs between a run of a case and what is known of the registry, one sentence each.

    A check that passes although it is listed is a difference as well, so that the list only shrinks.
    """
    found = {result.check: result for result in results}
    problems = []
    for check, result in found.items():
        if result.outcome is not Outcome.PASSED and check not in known:
            problems.append(f"{check}: {result} ({result.section.url})")
        elif result.outcome is Outcome.PASSED and check in known:
            problems.append(f"{check}: passes now, remove it from the known failures")
        elif check in known and str(result) != known[check]:
            problems.append(f"{check}: {result}, the known failures have {known[check]!r}")
    missing = [check for check in known if check.partition("/")[0] == case and check not in found]
    return problems + [f"{check}: a known failure, but there is no such check" for check in missing]
