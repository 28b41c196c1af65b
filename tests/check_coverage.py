"""Reads a coverage report (JSON) and fails unless every room's lines and branches are covered well enough.

Run as ``python tests/check_coverage.py coverage.json``.
"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

LEAST = 90.0
COUNTED = ("num_statements", "num_branches", "covered_lines", "covered_branches")


def room_of(path: str) -> str:
    """The room that a file belongs to: a folder of ``console``, its top level, or ``registry_client``."""
    parts = Path(path).parts
    return "/".join(parts[:2]) if parts[0] == "console" and len(parts) > 2 else parts[0]


def main(report: str) -> int:
    """Print a table of rooms; 1 when one is below ``LEAST`` percent of its lines and branches."""
    rooms: dict[str, Counter[str]] = defaultdict(Counter)
    for path, file in json.loads(Path(report).read_text())["files"].items():
        rooms[room_of(path)].update({name: file["summary"][name] for name in COUNTED})
    poor = []
    for room, numbers in sorted(rooms.items()):
        lines, branches, covered_lines, covered_branches = (numbers[name] for name in COUNTED)
        # The share that coverage.py itself prints.
        percent = 100 * (covered_lines + covered_branches) / (lines + branches) if lines else 100.0
        print(
            f"{room:<24} {covered_lines:>5} of {lines:>5} lines  {covered_branches:>5} of {branches:>5} branches  "
            f"{percent:5.1f} %"
        )
        if percent < LEAST:
            poor.append(room)
    if poor:
        print(f"Below {LEAST:.0f} %: {', '.join(poor)}")
    return 1 if poor else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
