"""The list of known failures, and the comparison with it."""

from __future__ import annotations

import pytest

from tests.conformance import known
from tests.conformance.cases import CASES
from tests.conformance.report import column, counts, table
from tests.conformance.run import Outcome, Result
from tests.conformance.sections import CHUNKS, LISTING_TAGS

KNOWN = {"case/known": "failed: 404 instead of 200"}


def result(check="case/check", outcome=Outcome.PASSED, answer="", section=LISTING_TAGS):
    return Result(check, section, outcome, answer)


def test_cases_have_names_of_their_own():
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("registry", known.REGISTRIES)
def test_known_failures_have_a_case_an_answer_and_a_reason(registry):
    found = known.by_reason(registry)
    assert set(found) <= set(known.reasons())
    assert all(found.values()), "a reason without checks"
    for check, answer in known.answers(registry).items():
        assert check.partition("/")[0] in {case.name for case in CASES}
        assert answer.startswith(("failed: ", "unsupported: "))


def test_reasons_are_those_of_the_bare_registry():
    assert list(known.reasons()) == list(known.by_reason(known.BARE))
    assert all(set(one) == {"reason", "mend"} and all(one.values()) for one in known.reasons().values())


def test_a_new_failure_is_a_difference():
    (problem,) = known.differences("case", [result(outcome=Outcome.FAILED, answer="500 instead of 404")], {})
    assert problem == f"case/check: failed: 500 instead of 404 ({LISTING_TAGS.url})"


def test_a_feature_that_is_missing_is_a_difference():
    assert known.differences("case", [result(outcome=Outcome.UNSUPPORTED, answer="400")], {})


def test_a_known_failure_is_none():
    same = result("case/known", Outcome.FAILED, "404 instead of 200")
    assert known.differences("case", [same, result()], KNOWN) == []


def test_a_known_failure_that_passes_is_a_difference():
    (problem,) = known.differences("case", [result("case/known")], KNOWN)
    assert problem == "case/known: passes now, remove it from the known failures"


def test_another_answer_than_the_known_one_is_a_difference():
    (problem,) = known.differences("case", [result("case/known", Outcome.FAILED, "500 instead of 200")], KNOWN)
    assert problem.startswith("case/known: failed: 500 instead of 200, the known failures have ")


def test_a_known_failure_that_is_no_check_is_a_difference():
    assert known.differences("case", [result()], KNOWN) == ["case/known: a known failure, but there is no such check"]
    assert known.differences("another-case", [result()], KNOWN) == []


def test_the_table_has_what_does_not_pass_everywhere():
    one = column([result("case/a"), result("case/b"), result("case/c", section=CHUNKS)])
    other = column([result("case/a"), result("case/b", Outcome.FAILED, "404"), result("case/c", Outcome.UNSUPPORTED)])
    lines = table({"one": one, "other": other}, everything=False)
    assert [line.split("  ")[0] for line in lines[:3]] == ["check", "case/b", "case/c"]
    assert lines[1].split("  ")[-2:] == ["passed", "failed: 404"]
    assert len(table({"one": one, "other": other}, everything=True)) == len(lines) + 1
    rows = counts({"one": one, "other": other})
    assert rows[-1] == ("all", "3 passed · 0 failed · 0 unsupported", "1 passed · 1 failed · 1 unsupported")
    assert ("Push", "1 passed · 0 failed · 0 unsupported", "0 passed · 0 failed · 0 unsupported") in rows
