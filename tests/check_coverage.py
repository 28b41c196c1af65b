"""Reads a coverage report (JSON) and fails unless every room is covered well enough.

Run as ``python tests/check_coverage.py coverage.json``.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

LEAST = 90.0


def room_of(path: str) -> str:
    """The room that a file belongs to: a folder of ``console``, its top level, or ``registry_client``."""
    parts = Path(path).parts
    return "/".join(parts[:2]) if parts[0] == "console" and len(parts) > 2 else parts[0]


def main(report: str) -> int:
    """Print a table of rooms; 1 when one is below ``LEAST`` percent."""
    statements: dict[str, int] = defaultdict(int)
    covered: dict[str, int] = defaultdict(int)
    for path, file in json.loads(Path(report).read_text())["files"].items():
        statements[room_of(path)] += file["summary"]["num_statements"]
        covered[room_of(path)] += file["summary"]["covered_lines"]
    poor = []
    for room in sorted(statements):
        percent = 100 * covered[room] / statements[room] if statements[room] else 100.0
        print(f"{room:<24} {covered[room]:>5} of {statements[room]:>5} lines  {percent:5.1f} %")
        if percent < LEAST:
            poor.append(room)
    if poor:
        print(f"Below {LEAST:.0f} %: {', '.join(poor)}")
    return 1 if poor else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
