"""Marks and timeouts of folders and files, and the order of files.

A mark says what a test needs. ``make test-fast`` leaves out tests with one of these marks, and runs all others.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
# By the beginning of a file's path below ``tests``, and by a fixture of a test. Other marks are in the files.
BY_PATH = {
    "audit/test_trail": "slow",
    "backup": "slow",
    "browser": "browser",
    "engine": "engine",
    "faults": "faults",
    "stars/test_public_images": "slow",
    "fuzz": "fuzz",
    "ci/test_install": "slow",
    "ci/test_venv": "slow",
    "throttling/test_limits": "slow",
    "images/test_answer_sizes": "slow",
    "images/test_depth_pages": "slow",
    "images/test_paging": "slow",
    "images/test_scale": "slow",
    "images/test_search": "slow",
    "index/test_activity": "slow",
    "index/test_histories": "slow",
    "index/test_memory": "slow",
    "index/test_reconcile_course": "slow",
    "local": "slow",
    "operations/test_commands": "slow",
    "web/test_queries": "slow",
    "security": "slow",
    "login/test_security": "slow",
    "upgrade": "slow",
    "web/test_admin_popups": "slow",
    "web/test_headers": "slow",
    "web/test_redirects": "slow",
    "web/test_secrets": "slow",
}
BY_FIXTURE = {
    "chromium": "browser",
    "docker_daemon": "engine",
    "registry_program": "registry",
    "stack": "product",
}
# Timeout of tests that start the whole product: a start takes a minute on a busy machine, and some tests need several.
LONG_SECONDS = 1800
LONG_MARKS = frozenset({"browser", "engine", "faults", "fuzz", "product", "slow"})
# Files with few but long tests: if started last, one process would run them while the others are idle.
LONG = (
    "faults", "engine", "browser/test_walk", "security/test_matrix", "web/test_secrets", "fuzz/test_pages", "upgrade",
    "backup", "local", "imports/test_whole", "index/test_memory", "conformance/test_product",
)  # fmt: skip


def pytest_itemcollected(item):
    """Mark a test by its file and its fixtures, and set its timeout: none in a soak test, whose length is chosen."""
    for start, mark in BY_PATH.items():
        if path_of(item).startswith(start):
            item.add_marker(mark)
    for fixture, mark in BY_FIXTURE.items():
        if fixture in item.fixturenames:
            item.add_marker(mark)
    if os.environ.get("SOAK") == "1":
        item.add_marker(pytest.mark.timeout(0))
    elif LONG_MARKS & {mark.name for mark in item.iter_markers()}:
        item.add_marker(pytest.mark.timeout(LONG_SECONDS))


def pytest_collection_modifyitems(items):
    """Run the files with the longest tests first, then those with the shared product, so that it can stop early."""
    with_product = {item.path for item in items if "stack" in item.fixturenames}

    def rank(item):
        others = len(LONG) + (item.path not in with_product)
        return next((place for place, start in enumerate(LONG) if path_of(item).startswith(start)), others)

    items.sort(key=rank)


def path_of(item) -> str:
    """The path of a test's file below ``tests``."""
    return str(item.path.relative_to(TESTS))
