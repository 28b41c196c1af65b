"""Holds what the lock files name against the published advisories: .ci/advisories.py LOCK_FILE...

Ends with 1 when something is found, or a lock file cannot be read. Advisories come from the Internet: where nobody
answers, it says plainly that nothing was checked and ends with 0, so that everything else can be checked offline; with
REQUIRE_AUDIT=1 in the environment it ends with 1 then. ADVISORIES_URL is another address of the same API (OSV).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_URL = "https://api.osv.dev/v1/query"
_SECONDS = "10"
_LONGEST_REASON = 160


def _pip_audit(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner", "off"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def _last_line(text: str) -> str:
    line = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason given")
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]} …"


def _answer(path: Path) -> list[dict[str, Any]] | None:
    """What pip-audit wrote of each package; nothing when it did not get that far: its exit code is 1 for both."""
    try:
        return list(json.loads(path.read_text())["dependencies"])
    except (OSError, ValueError, KeyError):
        return None


def main(lock_files: list[str]) -> int:
    """Check; what the process is to end with."""
    files = [argument for name in lock_files for argument in ("--requirement", name)]
    # First without asking anybody: a lock file that cannot be read is no matter of the network.
    dry = _pip_audit("--dry-run", *files)
    if dry.returncode:
        print(f"Advisories: the lock files cannot be read: {_last_line(dry.stderr)}", file=sys.stderr)
        return 1
    url = os.environ.get("ADVISORIES_URL") or _URL
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.json"
        options = ("--vulnerability-service", "osv", "--osv-url", url, "--timeout", _SECONDS, "--cache-dir", folder)
        asked = _pip_audit(*options, "--format", "json", "--desc", "off", "--output", str(path), *files)
        packages = _answer(path)
    if packages is None:
        required = os.environ.get("REQUIRE_AUDIT", "") not in {"", "0"}
        print(
            f"Advisories: NOT CHECKED. {url} could not be asked ({_last_line(asked.stderr)}).\n"
            "Whether a locked package has a known vulnerability was not looked at. "
            + ("REQUIRE_AUDIT demands it." if required else "REQUIRE_AUDIT=1 makes this an error."),
            file=sys.stderr,
        )
        return int(required)
    skipped = [package for package in packages if "skip_reason" in package]
    found = [(package, advisory) for package in packages for advisory in package.get("vulns", ())]
    for package in skipped:
        print(f"Advisories: {package['name']} was not checked: {package['skip_reason']}", file=sys.stderr)
    for package, advisory in found:
        mended = ", ".join(advisory["fix_versions"]) or "no version yet"
        names = ", ".join([advisory["id"], *advisory.get("aliases", ())])
        print(f"Advisories: {package['name']} {package['version']}: {names}; mended in {mended}", file=sys.stderr)
    checked = len(packages) - len(skipped)
    print(f"Advisories: {checked} locked packages checked, {len(found)} advisories found.")
    return int(bool(found or skipped or asked.returncode or not checked))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
