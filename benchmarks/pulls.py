"""Concurrent pulls by a lightweight client: the requests of a Docker Engine, without storing anything."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode, urlsplit

from benchmarks.registries import NAMESPACE, USERNAME, Registry
from registry_client import DOCKER_MANIFEST
from registry_client.challenges import parse_challenges

_PIECE = 1 << 16
_TIMEOUT = 600


def at_once(registry: Registry, image: str, tag: str, clients: int) -> tuple[float, list[float]]:
    """Pull with so many concurrent clients without a token.

    :return: seconds until the last one has finished, and the seconds of each.
    :raises RuntimeError: when a pull is incomplete.
    """
    start = threading.Barrier(clients + 1)

    def one() -> float:
        start.wait()
        begun = time.monotonic()
        pull(registry, image, tag)
        return time.monotonic() - begun

    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(one) for _ in range(clients)]
        start.wait()
        begun = time.monotonic()
        taken = [future.result() for future in running]
        return time.monotonic() - begun, taken


def pull(registry: Registry, image: str, tag: str) -> int:
    """Pull once: challenge, token, manifest, and all blobs, sequentially on one connection; returns the bytes of blobs.

    Lengths are verified, but not digests.
    """
    name, total = f"{NAMESPACE}/{image}", 0
    connection = http.client.HTTPConnection(registry.address, timeout=_TIMEOUT)
    try:
        headers = _authorization(connection, registry, name)
        manifest = json.loads(_get(connection, f"/v2/{name}/manifests/{tag}", {**headers, "Accept": DOCKER_MANIFEST}))
        for blob in [manifest["config"], *manifest["layers"]]:
            got = _drain(connection, f"/v2/{name}/blobs/{blob['digest']}", headers)
            if got != blob["size"]:
                raise RuntimeError(f"{got} bytes of {blob['size']} came")
            total += got
    finally:
        connection.close()
    return total


def _authorization(connection: http.client.HTTPConnection, registry: Registry, name: str) -> dict[str, str]:
    connection.request("GET", "/v2/")
    response = connection.getresponse()
    response.read()
    if response.status == 200:
        return {}
    challenge = parse_challenges(response.headers["WWW-Authenticate"])[0]
    pair = base64.b64encode(f"{USERNAME}:{registry.password}".encode()).decode()
    basic = {"Authorization": f"Basic {pair}"}
    if challenge.scheme == "basic":
        return basic
    realm = urlsplit(challenge.parameters["realm"])
    asked = {
        "account": USERNAME,
        "scope": f"repository:{name}:pull",
        "service": challenge.parameters["service"],
    }
    console = http.client.HTTPConnection(realm.netloc, timeout=_TIMEOUT)
    try:
        answer = json.loads(_get(console, f"{realm.path}?{urlencode(asked)}", basic))
    finally:
        console.close()
    return {"Authorization": f"Bearer {answer['token']}"}


def _get(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> bytes:
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise RuntimeError(f"GET {path.partition('?')[0]} answers {response.status}")
    return content


def _drain(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> int:
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    if response.status != 200:
        raise RuntimeError(f"GET {path} answers {response.status}")
    got, room = 0, bytearray(_PIECE)
    while size := response.readinto(room):
        got += size
    return got
