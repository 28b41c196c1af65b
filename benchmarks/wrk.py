"""Load with ``wrk``: raw HTTP requests in turn over persistent connections."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tools import cpu_seconds

_SCRIPT = Path(__file__).with_name("wrk.lua")
# A run with fewer responses is repeated with twice the length.
LEAST_ANSWERS = 20
_LONGEST_SECONDS = 60
_IDLE_SECONDS = 0.25


@dataclass(frozen=True)
class Load:
    """Result of a run of ``wrk``.

    :param p50: median latency in milliseconds.
    :param p99: 99th percentile of the latency in milliseconds.
    :param failed: responses with status 400 and above, and requests without response.
    :param cpu: CPU time of the servers in milliseconds per response.
    """

    rate: float
    p50: float
    p99: float
    answers: int
    failed: int
    cpu: float


def load(address: str, requests: Sequence[bytes], connections: int, seconds: int, least: int = LEAST_ANSWERS) -> Load:
    """Send ``requests`` in turn for some seconds.

    :param address: scheme, host and port.
    :param requests: raw HTTP/1.1 requests.
    :param seconds: length of the run; longer if the server is very slow.
    :param least: minimum number of responses; with fewer the run is repeated with twice the length.
    :raises subprocess.CalledProcessError: when ``wrk`` cannot run.
    """
    # A private file: the requests contain passwords, which would be visible on a command line.
    with tempfile.NamedTemporaryFile(prefix="my-images-wrk-") as file:
        file.write(b"".join(request + b"\0" for request in requests))
        file.flush()
        while True:
            found = _run(address, file.name, connections, seconds)
            if found.failed or found.answers >= least or seconds >= _LONGEST_SECONDS:
                return found
            seconds = min(_LONGEST_SECONDS, seconds * 2)


def _run(address: str, file: str, connections: int, seconds: int) -> Load:
    before = cpu_seconds()
    # One thread is enough for full load, and keeps the order of the requests.
    command = ["wrk", "--latency", "--timeout", "120s", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(_SCRIPT)]
    output = subprocess.run([*command, address, "--", file], check=True, capture_output=True, text=True).stdout
    used = cpu_seconds() - before
    wait_until_idle()
    found = json.loads(output.splitlines()[-1])
    answers = found["answers"]
    return Load(
        rate=answers / found["seconds"],
        p50=found["p50"],
        p99=found["p99"],
        answers=answers,
        failed=found["refused"] + found["broken"],
        cpu=used * 1000 / answers if answers else 0.0,
    )


def wait_until_idle() -> None:
    """Wait until the servers are idle, because they still process requests of disconnected clients.

    :raises RuntimeError: on timeout.
    """
    deadline = time.monotonic() + 120
    used = cpu_seconds()
    while time.monotonic() < deadline:
        time.sleep(_IDLE_SECONDS)
        before, used = used, cpu_seconds()
        if used - before <= 0.1 * _IDLE_SECONDS:
            return
    raise RuntimeError("the servers do not become idle")
