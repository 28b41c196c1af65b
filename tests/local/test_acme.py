"""A certificate by ACME, from a real authority on this machine."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from console.installation.environment import BASE_DIR

_ALONE = ["unshare", "--net", "--mount"]


def _has_namespaces():
    if os.geteuid() or not shutil.which("unshare"):
        return False
    return subprocess.run([*_ALONE, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _has_namespaces(), reason="network namespaces are for root")
def test_a_site_gets_its_certificate_and_renews_it():
    folder = Path(tempfile.mkdtemp(prefix="my-images-acme-"))
    try:
        done = subprocess.run(
            [*_ALONE, sys.executable, "-m", "tests.local.acme", str(folder)],
            cwd=BASE_DIR,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert found["status"] == "200"
    assert "The Tests' Authority" in found["issuer"]
    assert found["plain"] == "308 Location: https://images.example.com/x"
    # A connection of before is served on, and none was refused meanwhile.
    assert found["after renewal"] == "200, 0 failed"
    assert found["kept"] == "1"
    assert found["log"] == "''"
