"""The installation that the fault tests share."""

from __future__ import annotations

import pytest

from tests.faults import tally
from tests.faults.arena import Arena, seed_of_this_run


@pytest.fixture(scope="module")
def arena(request, registry_program):
    """A whole product on a small disk, with people who work with it; sizes are the module's to set."""
    made = Arena(registry_program, seed_of_this_run(), request.module.DISK, request.module.HELD_SECONDS)
    try:
        made.open()
        yield made
    finally:
        made.close()


@pytest.fixture
def striking(arena, record_property):
    """Makes faults there; what they came to is told at the end of the run, however the test ends."""

    def strike(*names, **options):
        faults, operations, losses = arena.struck.copy(), arena.ledger.operations.copy(), len(arena.ledger.losses)
        reconciled = arena.reconciled
        print(f"FAULT_SEED={arena.seed}")
        try:
            arena.strike(*names, **options)
        finally:
            text = tally.entry(
                arena.struck - faults,
                arena.ledger.operations - operations,
                arena.ledger.losses[losses:],
                arena.seed,
                arena.reconciled - reconciled,
            )
            record_property(tally.PROPERTY, text)

    return strike
