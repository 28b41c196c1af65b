"""Counting the cases, and the table of them at the end of a run."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter

PROPERTY = "fuzzed"
KINDS = ("hypothesis", "atheris")
WITHOUT_ATHERIS = (
    ""
    if importlib.util.find_spec("atheris")
    else "NOT FUZZED WITH ATHERIS: it is not installed; there is one for Linux on x86-64 alone"
)


class Tally:
    """The cases of one test, by target and kind."""

    def __init__(self) -> None:
        self.cases: Counter[tuple[str, str]] = Counter()

    def __call__(self, target: str, number: int = 1, kind: str = KINDS[0]) -> None:
        """Count ``number`` cases of ``target``."""
        self.cases[target, kind] += number

    def entry(self) -> str:
        """All of it, as a line that goes with the test's report from whatever process ran it."""
        return json.dumps([[target, kind, number] for (target, kind), number in sorted(self.cases.items())])


def summary(terminalreporter) -> None:
    """Print the table, where something was fuzzed."""
    reports = [report for some in terminalreporter.stats.values() for report in some if hasattr(report, "when")]
    cases: Counter[tuple[str, str]] = Counter()
    for report in reports:
        # What a fixture records as it ends is in the last of a test's reports.
        if report.when == "teardown":
            for name, text in report.user_properties:
                if name == PROPERTY:
                    cases.update({(target, kind): number for target, kind, number in json.loads(text)})
    if not cases:
        return
    terminalreporter.section("fuzzing: cases tried")
    terminalreporter.write_line(f"{'target':<28}{''.join(f'{kind:>14}' for kind in KINDS)}")
    for target in sorted({target for target, _kind in cases}):
        terminalreporter.write_line(f"{target:<28}{''.join(f'{cases[target, kind]:>14,}' for kind in KINDS)}")
    terminalreporter.write_line(f"{sum(cases.values()):,} cases")
    if WITHOUT_ATHERIS:
        terminalreporter.write_line(WITHOUT_ATHERIS, red=True, bold=True)
