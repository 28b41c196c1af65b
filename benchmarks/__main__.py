"""All benchmarks, one after another: ``python -m benchmarks`` (``make bench``)."""

from __future__ import annotations

import os
import subprocess
import sys


def main() -> int:
    """Run each in a separate process with a fresh installation; returns the number of failures."""
    environment = {name: value for name, value in os.environ.items() if name != "BENCHMARK_DATA_DIR"}
    failed = 0
    for name in (
        "tokens",
        "guesses",
        "push_pull",
        "parallel",
        "manifests",
        "pages",
        "load",
        "browser",
        "deletes",
        "events",
        "footprint",
        "edges",
        "growth",
    ):
        failed += (
            subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], env=environment, check=False).returncode != 0
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
