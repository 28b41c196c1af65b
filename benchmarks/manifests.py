"""Pushes of manifests at a steady rate to one repository: through the gate, beside the registry alone.

``python -m benchmarks.manifests [--rate N …] [--seconds N] [--tags N]``: each push moves one of many tags to an image
that the registry does not have yet. A request is due at a fixed time, and its time counts from then: also while earlier
ones are late. The registry alone has neither a token to verify nor an index to write.
"""

from __future__ import annotations

import argparse
import collections
import http.client
import json
import os
import queue
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import requests

from benchmarks import registries, tools
from registry_client import OCI_CONFIG, OCI_MANIFEST
from registry_client.names import Digest

REPOSITORY = f"{registries.NAMESPACE}/many-tags"
_CLIENTS = 16


@dataclass(frozen=True)
class Times:
    """Milliseconds of the pushes, the processor's per push in all processes of the servers, and what failed."""

    median: float
    p99: float
    most: float
    processor: float
    failures: list[str]


class Clients:
    """Clients of one registry, each with a connection of its own."""

    def __init__(self, registry: registries.Registry) -> None:
        self._registry = registry
        self._headers = _authorization(registry)
        self._own = threading.local()

    def manifest(self) -> bytes:
        """Push the configuration of a new image; returns its manifest."""
        content = json.dumps({"os": "linux", "architecture": "amd64", "author": os.urandom(8).hex()}).encode()
        digest = Digest.of(content)
        status, location = self._send("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
        path = location.partition(self._registry.address)[2] or location
        status, _location = self._send("PUT", f"{path}{'&' if '?' in path else '?'}digest={digest}", content)
        if status != 201:
            raise RuntimeError(f"{self._registry.name} answers {status} to a blob")
        config = {"mediaType": OCI_CONFIG, "digest": digest, "size": len(content)}
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
        return json.dumps(document).encode()

    def push(self, tag: str, manifest: bytes) -> None:
        """Push a manifest."""
        status, _location = self._send("PUT", f"/v2/{REPOSITORY}/manifests/{tag}", manifest)
        if status != 201:
            raise RuntimeError(f"{self._registry.name} answers {status} to a manifest")

    def _send(self, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection("127.0.0.1", self._registry.port, timeout=60)
        headers = {
            **self._headers,
            "Content-Type": OCI_MANIFEST if "/manifests/" in path else "application/octet-stream",
        }
        self._own.connection.request(method, path, body, headers)
        answer = self._own.connection.getresponse()
        answer.read()
        return answer.status, answer.headers.get("Location", "")


def _authorization(registry: registries.Registry) -> dict[str, str]:
    """A token of the product for pushes, valid for five minutes; none for the registry alone."""
    if not registry.console_port:
        return {}
    answer = requests.get(
        f"http://127.0.0.1:{registry.console_port}/token/",
        params={"service": "my-images-registry", "scope": f"repository:{REPOSITORY}:pull,push"},
        auth=(registries.USERNAME, registry.password),
        timeout=30,
    )
    answer.raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def measure(clients: Clients, rate: int, pushes: int, tags: int) -> Times:
    """Push so often, at ``rate`` a second, to ``tags`` tags in turn."""
    manifests = [clients.manifest() for _ in range(pushes)]
    due: queue.Queue[tuple[float, str, bytes] | None] = queue.Queue()
    times: list[float] = []
    failures: list[Exception] = []

    def work() -> None:
        while (job := due.get()) is not None:
            moment, tag, manifest = job
            try:
                clients.push(tag, manifest)
            except (OSError, http.client.HTTPException, RuntimeError) as error:
                failures.append(error)
            times.append(time.perf_counter() - moment)

    threads = [threading.Thread(target=work) for _ in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    used, begun = tools.cpu_seconds(), time.perf_counter()
    for number, manifest in enumerate(manifests):
        moment = begun + number / rate
        time.sleep(max(0.0, moment - time.perf_counter()))
        due.put((moment, f"t{number % tags}", manifest))
    for _thread in threads:
        due.put(None)
    for thread in threads:
        thread.join()
    used = tools.cpu_seconds() - used
    times.sort()
    return Times(
        statistics.median(times) * 1000,
        times[int(len(times) * 0.99)] * 1000,
        times[-1] * 1000,
        used * 1000 / pushes,
        [str(failure) for failure in failures],
    )


def _seed(registry: registries.Registry, tags: int) -> Clients:
    """Create the repository with so many tags."""
    clients = Clients(registry)
    manifest = clients.manifest()
    for number in range(tags):
        clients.push(f"t{number}", manifest)
    return clients


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, nargs="+", default=[4, 50])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--tags", type=int, default=1000)
    chosen = parser.parse_args(arguments)
    rows: list[list[object]] = []
    failures: collections.Counter[str] = collections.Counter()
    with registries.two() as both:
        for registry in both:
            tools.say(f"{chosen.tags} tags at {registry.name} ...")
            _seed(registry, chosen.tags)
        for rate in chosen.rate:
            alone: Times | None = None
            for registry in both:
                tools.say(f"{rate} pushes a second at {registry.name} ...")
                found = measure(Clients(registry), rate, rate * chosen.seconds, chosen.tags)
                alone = alone or found
                failures.update(found.failures)
                figures = [len(found.failures), found.median, found.p99, found.most, found.processor]
                ratios = [f"{found.median / alone.median:.1f}", f"{found.p99 / alone.p99:.1f}"]
                rows.append([f"{rate} a second", registry.name, *figures, *ratios])
    tools.table(
        f"Pushes of manifests to one repository of {chosen.tags:,} tags",
        [
            "pushes",
            "registry",
            "failed",
            "median ms",
            "p99 ms",
            "most ms",
            "processor ms",
            "median to alone",
            "p99 to alone",
        ],
        rows,
        [
            "The times count from the moment a push is due. My Images is measured through the edge, with a token.",
            f"Failed: {', '.join(f'{count} × {text}' for text, count in failures.most_common()) or 'nothing'}.",
        ],
    )


if __name__ == "__main__":
    main()
