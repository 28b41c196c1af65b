"""Throughput and latency of indexing pushes, compared with the registry's own push rate.

The reference is the same registry program without authentication and notifications. Eight clients with persistent
connections push manifests with a new tag and a new digest, whose blobs exist.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from benchmarks import FOLDER, installed, tools
from benchmarks.installed import CLIENTS, NAMESPACE, Small
from console.local import ports
from console.local import registry as bundled
from console.registry.index.models import Hint
from console.repositories.models import Tag
from registry_client import DOCKER_MANIFEST
from tests.support.stack import Stack

MANY = 40
STEADY = 10.0
_LATEST_SECONDS = 900
_POLL_SECONDS = 0.05
Pushed = list[tuple[Small, float]]

# The request bodies of a connection, each with a unique event ID.
_WRK = """
local thread_number = 0
function setup(thread) thread:set("number", thread_number); thread_number = thread_number + 1 end
local sent = 0
local body = [==[%s]==]
wrk.method = "POST"
wrk.headers["Authorization"] = "%s"
wrk.headers["Content-Type"] = "application/vnd.docker.distribution.events.v1+json"
function request()
  sent = sent + 1
  local mine = body:gsub("EVENT", number .. "-" .. sent):gsub("TAG", "t" .. (sent %% 500))
  return wrk.format(nil, nil, nil, mine)
end
"""


@contextmanager
def bare_registry() -> Iterator[int]:
    """Run the registry without authentication and notifications; yields its port."""
    port = ports.free()
    configuration = bundled.configuration(settings.ENVIRONMENT, settings.KEYS)
    del configuration["notifications"], configuration["auth"]
    configuration["http"]["addr"] = f"127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="my-images-bare-") as folder:
        configuration["storage"]["filesystem"]["rootdirectory"] = folder
        path = bundled.write_config(Path(folder) / "config.yml", configuration)
        process = subprocess.Popen(
            [str(bundled.find_or_install(tools.CACHE)), "serve", str(path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=bundled.clean_environment(os.environ),
        )
        try:
            tools.wait(process, lambda: tools.answers(f"http://127.0.0.1:{port}/v2/", {200}), "the registry alone")
            yield port
        finally:
            process.terminate()
            process.wait(30)


def names(number: int) -> list[str]:
    """Names of so many repositories of the account."""
    return [f"{NAMESPACE}/app{at}" for at in range(number)]


def headers_for(repositories: Sequence[str]) -> dict[str, str]:
    """Authorization headers for pushes to the product."""
    return installed.token(repositories, "pull", "push")


def indexed(pushed: Pushed) -> float:
    """Wait until each pushed tag is indexed with its digest; returns the time (``time.time()``) of the last one.

    :raises RuntimeError: on timeout.
    """
    wanted = {(small.repository, small.tag): small.digest for small, _ in pushed}
    end = time.monotonic() + _LATEST_SECONDS
    while time.monotonic() < end:
        done = time.time()
        if Tag.objects.count() >= len(wanted) and not Hint.objects.exists():
            rows = Tag.objects.values_list("image__full_name", "name", "manifest__digest")
            found = {(repository, tag): digest for repository, tag, digest in rows}
            if all(found.get(key) == digest for key, digest in wanted.items()):
                return done
        time.sleep(_POLL_SECONDS)
    raise RuntimeError(f"not all of {len(wanted)} pushed tags were indexed")


class Watcher:
    """Records when tags are indexed, by polling new rows every 50 ms."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], float] = {}
        self._last = Tag.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        self.stopped = False

    def run(self) -> None:
        """Poll until ``stopped``."""
        while not self.stopped:
            self.poll()
            time.sleep(_POLL_SECONDS)
        connection.close()

    def poll(self) -> None:
        """Record new rows. IDs may be committed out of order, so some before the last are read again."""
        rows = list(Tag.objects.filter(pk__gt=self._last - 200).values_list("pk", "image__full_name", "name"))
        now = time.time()
        for pk, repository, tag in rows:
            self.seen.setdefault((repository, tag), now)
            self._last = max(self._last, pk)

    def lags(self, pushed: Pushed) -> list[float]:
        """Milliseconds from each push's response to its row."""
        return [max(0.0, (self.seen[small.repository, small.tag] - at) * 1000) for small, at in pushed]


def product_row(
    label: str, stack: Stack, repositories: list[str], prefix: str, seconds: float, rate: float = 0.0
) -> list[Any]:
    """Push to the product and wait until everything is indexed: a row of the table."""
    headers = headers_for(repositories)
    images = installed.small_images(stack.registry_port, headers, repositories, prefix)
    watcher = Watcher()
    thread = threading.Thread(target=watcher.run)
    thread.start()
    before = {name: installed.cpu_of(found) for name, found in installed.parts(stack).items()}
    try:
        begun = time.time()
        pushed = installed.push_for(stack.registry_port, headers, images, seconds, rate)
        ended = max(at for _, at in pushed)
        done = indexed(pushed)
    finally:
        watcher.stopped = True
        thread.join()
    watcher.poll()
    used = {name: installed.cpu_of(found) - before.get(name, 0.0) for name, found in installed.parts(stack).items()}
    each = " / ".join(
        f"{used.get(name, 0) / len(pushed) * 1000:.1f}" for name in ("registry", "console", "worker", "postgres")
    )
    lags = sorted(watcher.lags(pushed))
    cuts = statistics.quantiles(lags, n=20, method="inclusive")
    return [
        label,
        len(pushed),
        len(pushed) / (ended - begun),
        len(pushed) / (done - begun),
        max(0.0, done - ended),
        statistics.median(lags),
        cuts[-1],
        lags[-1],
        each,
    ]


def backlog_row(
    label: str, stack: Stack, repositories: list[str], prefix: str, seconds: float, *, own_config: bool = False
) -> list[Any]:
    """Push while the worker is stopped, then continue it: a row of the table."""
    headers = headers_for(repositories)
    images = installed.small_images(stack.registry_port, headers, repositories, prefix, own_config=own_config)
    worker = installed.parts(stack)["worker"]
    for process in worker:
        process.suspend()
    try:
        begun = time.time()
        pushed = installed.push_for(stack.registry_port, headers, images, seconds)
        ended = max(at for _, at in pushed)
        _wait_for_hints(len(pushed))
    finally:
        for process in worker:
            process.resume()
    let_go = time.time()
    done = indexed(pushed)
    rate = len(pushed) / (ended - begun)
    return [label, len(pushed), rate, len(pushed) / (done - let_go), done - let_go, "–", "–", "–", "–"]


def _wait_for_hints(number: int) -> None:
    end = time.monotonic() + _LATEST_SECONDS
    while Hint.objects.count() < number:
        if time.monotonic() > end:
            raise RuntimeError("the registry did not notify of all pushes")
        time.sleep(_POLL_SECONDS)


def own_rate(label: str, repositories: list[str], seconds: float, *, own_config: bool = False) -> list[Any]:
    """The registry alone: a row of the table."""
    with bare_registry() as port:
        images = installed.small_images(port, {}, repositories, "bare", own_config=own_config)
        begun = time.time()
        pushed = installed.push_for(port, {}, images, seconds)
        rate = len(pushed) / (max(at for _, at in pushed) - begun)
    return [label, len(pushed), rate, "–", "–", "–", "–", "–", "–"]


def envelope(action: str, number: int) -> dict[str, Any]:
    """An envelope of so many events, like the registry's; ``EVENT`` and ``TAG`` are placeholders."""
    digest = f"sha256:{random.randbytes(32).hex()}"
    name = f"{NAMESPACE}/app0"
    return {
        "events": [
            {
                "id": f"{uuid.uuid4()}-{at}-EVENT",
                "timestamp": timezone.now().isoformat(),
                "action": action,
                "target": {
                    "mediaType": DOCKER_MANIFEST,
                    "size": 528,
                    "digest": digest,
                    "length": 528,
                    "repository": name,
                    "url": f"http://127.0.0.1:5000/v2/{name}/manifests/{digest}",
                    "tag": "TAG",
                },
                "request": {
                    "id": str(uuid.uuid4()),
                    "addr": "127.0.0.1:51234",
                    "host": "127.0.0.1:5000",
                    "method": "PUT" if action == "push" else "GET",
                    "useragent": "docker/26.1.5 go/go1.22.2 git-commit/26.1.5",
                },
                "actor": {"name": installed.USERNAME},
                "source": {"addr": "host:5000", "instanceID": str(uuid.uuid4())},
            }
            for at in range(number)
        ]
    }


def intake(seconds: float) -> None:
    """Measure the throughput of the notifications endpoint without a worker, and print it as a table."""
    rows: list[list[Any]] = []
    with tools.installation(registry=False), tools.console(), tempfile.TemporaryDirectory() as folder:
        installed.owner()
        secret = f"Bearer {settings.KEYS.notification_secret}"
        for action in ("push", "pull"):
            for number in (1, 10):
                asked = queries(action, number, secret)
                for connections_ in (1, CLIENTS):
                    text = json.dumps(envelope(action, number))
                    script = Path(folder) / "post.lua"
                    script.write_text(_WRK % (text, secret))
                    rate, median, worst = wrk(script, connections_, seconds)
                    rows.append(
                        [f"{action}, {number} an envelope", connections_, rate, rate * number, median, worst, asked]
                    )
    tools.table(
        "Notifications taken in",
        ["events", "connections", "envelopes/s", "events/s", "p50 ms", "p99 ms", "queries an envelope"],
        rows,
        [
            "The registry sends over one connection, one envelope after another: its row is what one registry can have"
            " taken in. Queries: what one envelope asks of the database, beginning and end of the transaction included;"
            " that of a push whose job waits already."
        ],
    )


def queries(action: str, number: int, secret: str) -> int:
    """Number of SQL statements for one envelope."""
    client = Client(headers={"Authorization": secret}, SERVER_NAME="127.0.0.1")
    for at in range(2):
        text = json.dumps(envelope(action, number)).replace("EVENT", f"q{at}").replace("TAG", "t1")
        with CaptureQueriesContext(connection) as asked:
            answer = client.post("/indexing/notifications/", text, content_type="application/json")
        if answer.status_code != 200:
            raise RuntimeError(f"the endpoint answers {answer.status_code}")
    return len(asked)


def wrk(script: Path, connections_: int, seconds: float) -> tuple[float, float, float]:
    """Requests a second, and the median and the 99th percentile of their milliseconds.

    :raises RuntimeError: when some were not answered 200.
    """
    threads = min(2, connections_)
    command = [
        "wrk",
        f"-t{threads}",
        f"-c{connections_}",
        f"-d{max(1, round(seconds))}s",
        "--latency",
        "-s",
        str(script),
    ]
    out = subprocess.run(
        [*command, f"{settings.CONSOLE_URL}/indexing/notifications/"], capture_output=True, text=True, check=True
    ).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(out)
    lines = {line.split()[0]: line.split()[-1] for line in out.splitlines() if line.strip()}
    return float(lines["Requests/sec:"]), _milliseconds(lines["50%"]), _milliseconds(lines["99%"])


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.events", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long is pushed, each time")
    parser.add_argument("--repositories", type=int, default=MANY, help="how many, where they are many")
    given = parser.parse_args(arguments)
    many, one = names(given.repositories), names(1)
    rows = []
    try:
        tools.say("The registry alone ...")
        rows.append(own_rate("registry alone, many repositories", many, given.seconds))
        rows.append(own_rate("registry alone, one repository", one, given.seconds))
        rows.append(
            own_rate("registry alone, many, each image with its own config", many, given.seconds, own_config=True)
        )
        tools.say("The whole product ...")
        with installed.running() as stack:
            installed.owner()
            rows.append(
                product_row(f"{STEADY:.0f} a second, many repositories", stack, many, "s", given.seconds, STEADY)
            )
            rows.append(product_row("full rate, many repositories", stack, many, "m", given.seconds))
            rows.append(product_row("full rate, one repository", stack, one, "o", given.seconds))
            rows.append(backlog_row("worker held meanwhile, many repositories", stack, many, "b", given.seconds))
            rows.append(backlog_row("worker held meanwhile, one repository", stack, one, "c", given.seconds))
            label = "worker held meanwhile, many, each image with its own config"
            rows.append(backlog_row(label, stack, many, "d", given.seconds, own_config=True))
        tools.table(
            f"Pushes and their rows in the index, {CLIENTS} clients, {given.repositories} repositories or one",
            ["run", "pushes", "pushed/s", "indexed/s", "behind, s", "lag p50 ms", "p95 ms", "worst ms", "CPU ms each"],
            rows,
            [
                "Reference: the rows “registry alone”, without authentication and notifications. Indexed: pushes"
                " divided by the time from the first push until each is a row with its digest. Behind: from the last"
                " push until then. Lag: from a push's answer to its row, seen within 50 ms.",
                "Worker held meanwhile: it was stopped until all pushes were told of. Indexed and behind: from when it"
                " was let go. With its own config: two more requests a push, and one more to read. All others of a"
                " repository share one config, which is read once for those that are looked at together.",
                "CPU: of registry / console / worker / PostgreSQL for each push, everything else that these did"
                " meanwhile included.",
            ],
        )
        tools.say("Intake ...")
        intake(min(given.seconds, 10))
    finally:
        installed.clean_up()
    if FOLDER.exists():
        tools.say(f"Kept: {FOLDER}")


if __name__ == "__main__":
    main()
