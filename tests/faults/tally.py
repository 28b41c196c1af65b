"""Counting what the fault tests did and saw, and the table of it at the end of a run."""

from __future__ import annotations

import json
from collections import Counter

PROPERTY = "faults"
_SEEN = ("confirmed", "refused", "unknown")


def entry(faults: Counter, operations: Counter, losses: list[str], seed: int, reconciled: int) -> str:
    """What one test did, as a line that goes with its report from whatever process ran it.

    :param faults: how often each fault was made.
    :param operations: how often each operation, a pair of a verb and what the client saw.
    :param reconciled: how often the index had to be reconciled by hand.
    """
    rows = [[verb, seen, number] for (verb, seen), number in sorted(operations.items())]
    return json.dumps({"faults": dict(faults), "operations": rows, "losses": losses, "seed": seed, "hand": reconciled})


def pytest_terminal_summary(terminalreporter):
    """Print the table, where fault tests ran."""
    reports = [report for some in terminalreporter.stats.values() for report in some if hasattr(report, "when")]
    entries = [
        json.loads(text)
        for report in reports
        if report.when == "call"
        for name, text in report.user_properties
        if name == PROPERTY
    ]
    if not entries:
        return
    faults: Counter = Counter()
    operations: Counter = Counter()
    losses: list[str] = []
    for one in entries:
        faults.update(one["faults"])
        operations.update({(verb, seen): number for verb, seen, number in one["operations"]})
        losses += one["losses"]
    terminalreporter.section("faults, operations, losses")
    terminalreporter.write_line("seed " + ", ".join(sorted({str(one["seed"]) for one in entries})))
    terminalreporter.write_line(f"{'fault':<28}{'times':>10}")
    for name, number in sorted(faults.items()):
        terminalreporter.write_line(f"{name:<28}{number:>10}")
    terminalreporter.write_line(f"{'operation':<28}{''.join(f'{seen:>10}' for seen in _SEEN)}")
    for verb in sorted({verb for verb, _seen in operations}):
        terminalreporter.write_line(f"{verb:<28}{''.join(f'{operations[verb, seen]:>10}' for seen in _SEEN)}")
    terminalreporter.write_line(
        f"{sum(faults.values())} faults, {sum(operations.values())} operations, {len(losses)} losses, "
        f"index reconciled by hand {sum(one['hand'] for one in entries)} times"
    )
    for loss in losses:
        terminalreporter.write_line(f"LOST: {loss}")
