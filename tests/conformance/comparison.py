"""What the tests of both registries have in common."""

from __future__ import annotations

import pytest

from tests.conformance import known, report
from tests.conformance.cases import CASES
from tests.conformance.run import Case
from tests.conformance.target import Target

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def must_be_as_known(case: Case, target: Target, registry: str, record_property) -> None:
    """Run a case, record its results for the table, and compare them with the known failures."""
    results = case.run(target)
    record_property(report.PROPERTY, report.entry(registry, results))
    differences = known.differences(case.name, results, known.answers(registry))
    assert not differences, "\n".join(differences)
