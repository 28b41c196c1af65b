"""The table of all checks, and their counts, for one or more registries side by side."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping

from tests.conformance.run import Outcome, Result
from tests.conformance.sections import WORKFLOWS

PROPERTY = "conformance"
_PASSED = str(Outcome.PASSED)

# Of one registry: by check, its workflow, its section, its outcome, and its result in words.
Column = dict[str, tuple[str, str, str, str]]


def column(results: Iterable[Result]) -> Column:
    """What a table needs of the results of a registry."""
    return {
        result.check: (result.section.workflow, str(result.section), str(result.outcome), str(result))
        for result in results
    }


def entry(registry: str, results: Iterable[Result]) -> str:
    """Results of a test as a property of its report, for ``pytest_terminal_summary``."""
    return json.dumps([registry, column(results)])


def table(columns: Mapping[str, Column], *, everything: bool) -> list[str]:
    """The table "case · section · registry …", and the counts by workflow.

    :param columns: by the name of the registry.
    :param everything: whether it has the checks that all registries pass, too.
    """
    rows = [("check", "section", *columns)]
    for check in dict.fromkeys(check for one in columns.values() for check in one):
        cells = [one.get(check, ("", "", "", "not run")) for one in columns.values()]
        if everything or any(cell[3] != _PASSED for cell in cells):
            rows.append((check, next(cell[1] for cell in cells if cell[1]), *(cell[3] for cell in cells)))
    return [*_lines(rows), "", *_lines(counts(columns))]


def counts(columns: Mapping[str, Column]) -> list[tuple[str, ...]]:
    """The rows of a table of how many checks passed, failed and were unsupported, by workflow."""
    rows = [("workflow", *columns)]
    totals = {name: Counter(cell[2] for cell in one.values()) for name, one in columns.items()}
    for workflow in WORKFLOWS:
        by_name = {
            name: Counter(cell[2] for cell in one.values() if cell[0] == workflow) for name, one in columns.items()
        }
        rows.append((workflow, *map(_count, by_name.values())))
    return [*rows, ("all", *map(_count, totals.values()))]


def _count(counter: Counter[str]) -> str:
    return " · ".join(f"{counter[outcome]} {outcome}" for outcome in map(str, Outcome))


def _lines(rows: Iterable[tuple[str, ...]]) -> list[str]:
    rows = list(rows)
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def pytest_terminal_summary(terminalreporter):
    """Print the table, where conformance tests ran; with ``-v``, also the checks that pass everywhere."""
    reports = [report for some in terminalreporter.stats.values() for report in some if hasattr(report, "when")]
    columns: dict[str, Column] = {}
    for report in reports:
        for name, text in report.user_properties if report.when == "call" else ():
            if name == PROPERTY:
                registry, cells = json.loads(text)
                columns.setdefault(registry, {}).update({check: tuple(cell) for check, cell in cells.items()})
    if columns:
        terminalreporter.section("OCI distribution conformance")
        for line in table(dict(sorted(columns.items())), everything=terminalreporter.verbosity > 0):
            terminalreporter.write_line(line)
