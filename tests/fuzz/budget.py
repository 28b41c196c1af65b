"""How much is tried: little and the same in the usual tests, much and another each time with ``SOAK=1``."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SOAK = os.environ.get("SOAK") == "1"
MINUTES = float(os.environ.get("SOAK_MINUTES") or 30)


def examples(number: int) -> settings:
    """The settings of a test that tries ``number`` examples, and in a soak as many for each minute of it."""
    return settings(
        max_examples=max(number, int(number * MINUTES)) if SOAK else number,
        derandomize=not SOAK,
        database=None,
        deadline=None,
        print_blob=True,
        # The fixtures are the database and a client; what an example writes is undone where it matters.
        suppress_health_check=list(HealthCheck),
    )
