"""Race of concurrent pushes that share manifests: how many fail, at the registry alone and in the product.

``python -m benchmarks.parallel [--pushes N] [--clients N …]``: several clients push tags of one multi-platform image to
one repository. Like Docker, each push puts the manifests of all platforms, although they exist, and then the index with
a tag of the client. Distribution's file system driver truncates and rewrites the files that name a manifest, so that a
concurrent push of another client fails.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import threading
from dataclasses import dataclass, field

import requests

from benchmarks import registries, tools
from registry_client import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, RegistryClient
from registry_client.names import Digest

REPOSITORY = f"{registries.NAMESPACE}/shared"
PLATFORMS = ("amd64", "arm64", "arm")
_LAYERS, _LAYER_BYTES = 4, 2000
# Number of tags of each client, used in turn.
_TAGS = 20
# Limit of retries of a failed push.
_RETRIES = 5


class Bearer:
    """One token for all calls."""

    def __init__(self, token: str) -> None:
        self.token = token

    def authorization(self, scopes: tuple[str, ...], challenge: str | None) -> str | None:
        """The token, ``None`` if none is needed."""
        return f"Bearer {self.token}" if self.token else None


@dataclass
class Picture:
    """The manifests of all platforms, and their index."""

    children: list[bytes]
    index: bytes


@dataclass
class Outcome:
    """Result of the pushes.

    :ivar failed: number of pushes that failed at the first attempt.
    :ivar lost: number of pushes that failed at all attempts.
    :ivar attempts: largest number of attempts of a push.
    :ivar codes: number of each of the registry's error codes.
    """

    pushes: int = 0
    failed: int = 0
    lost: int = 0
    attempts: int = 1
    codes: collections.Counter[str] = field(default_factory=collections.Counter)


def token_of(registry: registries.Registry) -> str:
    """A token of the product for pushes, valid for five minutes; empty for the registry alone."""
    if not registry.console_port:
        return ""
    answer = requests.get(
        f"http://127.0.0.1:{registry.console_port}/token/",
        params={"service": "my-images-registry", "scope": f"repository:{REPOSITORY}:pull,push"},
        auth=(registries.USERNAME, registry.password),
        timeout=30,
    )
    answer.raise_for_status()
    return answer.json()["token"]


def make(registry: registries.Registry) -> Picture:
    """Push the blobs of an image with three platforms that share their layers; returns its manifests."""

    def put(content: bytes) -> dict[str, object]:
        digest = Digest.of(content)
        client.upload_blob(REPOSITORY, digest, [content], len(content))
        return {"digest": digest, "size": len(content)}

    with RegistryClient(f"http://{registry.address}", Bearer(token_of(registry))) as client:
        config = {"mediaType": OCI_CONFIG, **put(b'{"architecture":"amd64","os":"linux"}')}
        layers = [{"mediaType": OCI_LAYER, **put(os.urandom(_LAYER_BYTES))} for _ in range(_LAYERS)]
    base = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
    children = [json.dumps({**base, "annotations": {"platform": one}}).encode() for one in PLATFORMS]
    entries = [
        {
            "mediaType": OCI_MANIFEST,
            "digest": Digest.of(child),
            "size": len(child),
            "platform": {"os": "linux", "architecture": one},
        }
        for child, one in zip(children, PLATFORMS, strict=True)
    ]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return Picture(children, json.dumps(index).encode())


class Pusher:
    """A client that pushes repeatedly over one connection."""

    def __init__(self, registry: registries.Registry, picture: Picture, name: str, token: str) -> None:
        self.base = f"http://{registry.address}/v2/{REPOSITORY}/manifests"
        self.picture, self.name = picture, name
        self.outcome = Outcome()
        self.session = requests.Session()
        self.session.trust_env = False
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def run(self, pushes: int) -> None:
        """Push so often; a failed push is retried from its first manifest on."""
        for number in range(pushes):
            self.outcome.pushes += 1
            for attempt in range(_RETRIES + 1):
                if self._push(f"{self.name}-{number % _TAGS}"):
                    break
                self.outcome.failed += attempt == 0
                self.outcome.lost += attempt == _RETRIES
                self.outcome.attempts = max(self.outcome.attempts, min(attempt + 2, _RETRIES + 1))

    def _push(self, tag: str) -> bool:
        steps = [(Digest.of(child), child, OCI_MANIFEST) for child in self.picture.children]
        done = [self._put(*step) for step in [*steps, (tag, self.picture.index, OCI_INDEX)]]
        return all(done)

    def _put(self, reference: str, content: bytes, media_type: str) -> bool:
        answer = self.session.put(
            f"{self.base}/{reference}", data=content, headers={"Content-Type": media_type}, timeout=60
        )
        if answer.status_code == 201:
            return True
        try:
            codes = sorted({error["code"] for error in answer.json()["errors"]})
        except (ValueError, KeyError, TypeError):
            codes = []
        self.outcome.codes[f"{answer.status_code} {', '.join(codes)}".strip()] += 1
        return False


def measure(registry: registries.Registry, pushes: int, clients: int) -> Outcome:
    """Run so many pushes with so many clients; returns the result."""
    picture, token = make(registry), token_of(registry)
    pushers = [Pusher(registry, picture, f"client{number}", token) for number in range(clients)]
    threads = [threading.Thread(target=pusher.run, args=(pushes // clients,)) for pusher in pushers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = Outcome()
    for pusher in pushers:
        whole.pushes += pusher.outcome.pushes
        whole.failed += pusher.outcome.failed
        whole.lost += pusher.outcome.lost
        whole.attempts = max(whole.attempts, pusher.outcome.attempts)
        whole.codes += pusher.outcome.codes
    return whole


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pushes", type=int, default=600)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4])
    arguments = parser.parse_args()
    rows: list[list[object]] = []
    codes: collections.Counter[str] = collections.Counter()
    with registries.two() as both:
        for clients in arguments.clients:
            for registry in both:
                tools.say(f"{clients} clients at {registry.name} ...")
                outcome = measure(registry, arguments.pushes, clients)
                codes += outcome.codes
                share = f"{100 * outcome.failed / outcome.pushes:.1f} %"
                counts = [outcome.pushes, outcome.failed, share, outcome.attempts, outcome.lost]
                rows.append([clients, registry.name, *counts])
    tools.table(
        "Pushes at once that share manifests",
        ["clients", "registry", "pushes", "failed", "share", "attempts, at most", "failed for good"],
        rows,
        [f"Refused: {', '.join(f'{count} × {code}' for code, count in codes.most_common()) or 'nothing'}."],
    )


if __name__ == "__main__":
    main()
