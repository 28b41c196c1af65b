"""The registry that the product runs, alone: what the product's results are compared with."""

import subprocess
import sys

from console.installation.environment import BASE_DIR
from tests.conformance import known
from tests.conformance.comparison import every_case, must_be_as_known


@every_case
def test_the_bare_registry(case, bare_registry, record_property):
    must_be_as_known(case, bare_registry, known.BARE, record_property)


def test_the_command_prints_the_table(bare_registry):
    command = [sys.executable, "-m", "tests.conformance", bare_registry.address, "--case", "support", "--all"]
    lines = subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0].split() == ["check", "section", bare_registry.address]
    assert lines[1].split() == ["support/GET", "/v2/", "Determining", "Support", "(end-1)", "passed"]
    assert lines[-1].endswith("1 passed · 0 failed · 0 unsupported")
