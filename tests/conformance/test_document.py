"""The figures of docs/registry.md are those of the checks and of the known failures."""

from __future__ import annotations

from collections import Counter

import pytest

from console.installation.environment import BASE_DIR
from tests.conformance import known
from tests.conformance.cases import CASES
from tests.conformance.model import ConformingRegistry
from tests.conformance.run import Outcome
from tests.conformance.sections import WORKFLOWS
from tests.conformance.target import Target


@pytest.fixture(scope="module")
def workflows():
    """The workflow of each check."""
    results = [
        result for case in CASES for result in case.run(Target("http://registry.test", transport=ConformingRegistry()))
    ]
    return {result.check: result.section.workflow for result in results}


def cell(checks, registry):
    """How many of these checks a registry passes, fails, and does not support."""
    answers = known.answers(registry)
    counter = Counter(answers[check].partition(":")[0] if check in answers else Outcome.PASSED for check in checks)
    return " · ".join(str(counter[outcome]) for outcome in Outcome)


def test_the_counts_by_workflow(workflows):
    text = (BASE_DIR / "docs/registry.md").read_text()
    rows = [(name, [check for check, one in workflows.items() if one == name]) for name in WORKFLOWS]
    for name, checks in [*rows, ("all", list(workflows))]:
        row = f"| {name} | {len(checks):,} | {' | '.join(cell(checks, registry) for registry in known.REGISTRIES)} |"
        assert row in text


def test_the_counts_by_reason():
    text = (BASE_DIR / "docs/registry.md").read_text()
    counts = [known.by_reason(registry) for registry in known.REGISTRIES]
    for reason in known.reasons():
        end = f" | {' | '.join(str(len(one.get(reason, {}))) for one in counts)} |"
        assert [line for line in text.splitlines() if line.startswith(f"| `{reason}` | ") and line.endswith(end)], (
            f"docs/registry.md: the row of {reason} ends with{end}"
        )
