"""Coverage-guided fuzzing of the parsers: some thousand inputs each, with ``SOAK=1`` for minutes."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from console.installation.environment import BASE_DIR
from tests.fuzz.budget import MINUTES, SOAK
from tests.fuzz.tally import WITHOUT_ATHERIS
from tests.fuzz.targets import TARGETS

# How long one input may take before libFuzzer calls it a hang: far beyond what any machine needs for it.
HANG_SECONDS = 30


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    """The folder in which each target has been fuzzed."""
    if WITHOUT_ATHERIS:
        pytest.skip(WITHOUT_ATHERIS)
    folder = tmp_path_factory.mktemp("guided")
    for name, target in TARGETS.items():
        _prepare(folder / name, target)
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.guided", str(folder), *TARGETS],
        cwd=BASE_DIR,
        # Its branches are followed by libFuzzer, not by the measurement of the tests' coverage.
        env={key: value for key, value in os.environ.items() if not key.startswith("COV")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return folder


def _prepare(folder, target):
    for name in ("corpus", "found"):
        (folder / name).mkdir(parents=True)
    for number, content in enumerate(target.seeds):
        (folder / "corpus" / f"{number:03}").write_bytes(content)
    (folder / "words").write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    # Each run of the usual tests is the same; a soak begins anywhere, and the targets share its time.
    seconds = max(1, int(MINUTES * 60 / len(TARGETS)))
    much = ["-runs=-1", f"-max_total_time={seconds}"] if SOAK else [f"-runs={target.quick}", "-seed=1"]
    flags = [
        *much,
        f"-dict={folder / 'words'}",
        f"-artifact_prefix={folder / 'found'}/",
        "-max_len=6000",
        f"-timeout={HANG_SECONDS}",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        str(folder / "corpus"),
    ]
    (folder / "flags").write_text("\n".join(flags))


def _escaped(word):
    """As libFuzzer's dictionaries want it."""
    return "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\' else f"\\x{byte:02X}" for byte in word.encode()
    )


@pytest.mark.parametrize("name", TARGETS)
def test_guided(name, fuzzed, cases):
    target, folder = TARGETS[name], fuzzed / name
    said = (folder / "said").read_text(errors="replace")
    executions = re.search(r"stat::number_of_executed_units: +(\d+)", said)
    cases(target.title, int(executions[1]) if executions else 0, "atheris")
    found = "".join(f"\n{file.name}: {file.read_bytes()!r}" for file in sorted((folder / "found").iterdir()))
    trace = re.search(r"=== Uncaught Python exception: ===.*?(?=\n==\d+==)", said, re.DOTALL)
    assert (folder / "result").read_text() == "0" and not found, (
        f"{target.title}{found}\n{trace[0] if trace else said[-4000:]}"
    )
    assert executions and int(executions[1]) >= 100, said[-4000:]
