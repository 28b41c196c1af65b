"""Faults at random, for as long as one likes: ``make soak``."""

from __future__ import annotations

import os
import time

import pytest

DISK = (4000, "ext4")
HELD_SECONDS = 30
_MINUTES = float(os.environ.get("SOAK_MINUTES") or 30)

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(os.environ.get("SOAK") != "1", reason="half an hour long: make soak runs it"),
]


def test_random_faults(arena, striking):
    end = time.monotonic() + _MINUTES * 60
    waiting: list[str] = []
    while time.monotonic() < end:
        if not waiting:
            # Each comes as often as the others, in an order of its own each time.
            waiting = list(arena.harm.faults)
            arena.random.shuffle(waiting)
        fault = waiting.pop()
        print(f"{(end - time.monotonic()) / 60:.1f} minutes left: {fault}", flush=True)
        striking(fault)
    striking("kill the registry", whole=True)
