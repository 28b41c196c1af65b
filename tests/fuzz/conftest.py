"""Counting what is tried."""

from __future__ import annotations

import pytest

from tests.fuzz import tally


@pytest.fixture
def cases(record_property):
    """Counts cases; what they come to is told at the end of the run, however the test ends."""
    counted = tally.Tally()
    yield counted
    record_property(tally.PROPERTY, counted.entry())
