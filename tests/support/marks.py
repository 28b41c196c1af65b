"""The order that files are run in."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
# Few tests and long ones: started last, one process would have them all when the others have nothing left to do.
LONG = (
    "faults", "engine", "browser/test_walk", "security/test_matrix", "web/test_secrets", "fuzz/test_pages", "upgrade",
    "backup", "local", "transfers/test_whole", "indexing/test_memory",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """The files with the longest tests first; all others stay in their order."""

    def rank(item):
        return next((place for place, start in enumerate(LONG) if path_of(item).startswith(start)), len(LONG))

    items.sort(key=rank)


def path_of(item) -> str:
    """The path of a test's file below ``tests``."""
    return str(item.path.relative_to(TESTS))
