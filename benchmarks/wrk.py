"""Load by ``wrk``: whole HTTP requests in turn over connections that stay open."""

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
# Fewer answers than this say nothing: the run is done again for twice as long.
LEAST_ANSWERS = 20
_LONGEST_SECONDS = 60
_IDLE_SECONDS = 0.25


@dataclass(frozen=True)
class Load:
    """What one run of ``wrk`` saw.

    :param p50: milliseconds; half of the answers took longer.
    :param p99: milliseconds; one answer of a hundred took longer.
    :param failed: answers of 400 and above, and requests that got none.
    :param cpu: processor time of the servers, in milliseconds an answer.
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
    :param requests: whole HTTP/1.1 requests, which are sent as they are.
    :param seconds: longer, where the server is so slow that almost no answer came.
    :param least: so many answers are wanted; with fewer the run is done again for twice as long.
    :raises subprocess.CalledProcessError: when ``wrk`` cannot run.
    """
    # A file that nobody else can read: the requests carry passwords, and a command line does not hide them.
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
    # One thread is enough to keep the servers busy, and sends the requests in the order of the file.
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
    """Wait until the servers have worked off what was asked of them and nobody waits for any more.

    :raises RuntimeError: when they do not come to rest.
    """
    deadline = time.monotonic() + 120
    used = cpu_seconds()
    while time.monotonic() < deadline:
        time.sleep(_IDLE_SECONDS)
        before, used = used, cpu_seconds()
        if used - before <= 0.1 * _IDLE_SECONDS:
            return
    raise RuntimeError("the servers do not come to rest")
