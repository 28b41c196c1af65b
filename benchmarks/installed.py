"""The whole product, started like ``make run``, for benchmarks; and small images to push."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from django.conf import settings
from django.db import connections

from benchmarks import FOLDER, GIVEN, tools
from console.access.grants import Access
from console.accounts.models import Account
from console.accounts.services import create_account, mark_activated
from console.activation.services import enable
from console.local import registry as bundled
from console.ownership.services import create_namespace
from console.registry.signing import sign
from registry_client import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST
from tests.support.environment import FOLDER as TESTS_FOLDER
from tests.support.stack import Stack

# Of the tests' environment only the missing Docker Hub is used, not the data folder.
os.environ["DATA_DIR"] = str(FOLDER)
os.environ["CONSOLE_PORT"] = str(settings.ENVIRONMENT.console_port)
os.environ["REGISTRY_PORT"] = str(settings.ENVIRONMENT.registry_port)

USERNAME, PASSWORD, NAMESPACE = "bench-user", "a-long-enough-Passphrase-1", "bench"
CLIENTS = 8
_LAYER = b"layer"


class Installation(Stack):
    """An installation that stops when this process is killed."""

    def launch(self, *arguments: str) -> None:
        """Start it without waiting."""
        super().launch("--stop-with-parent", *arguments)


@contextmanager
def running(**variables: str) -> Iterator[Stack]:
    """Run the product over this process's data folder, so that models and keys here are its own.

    :param variables: environment variables.
    """
    stack = make_stack(**variables)
    try:
        stack.start()
        yield stack
    finally:
        connections.close_all()
        stop(stack)


def make_stack(**variables: str) -> Stack:
    """The product over this process's data folder, not started yet, with production settings."""
    stack = Installation(
        bundled.find_or_install(tools.CACHE),
        FOLDER,
        POSTGRES_OPTIONS="",
        CONSOLE_PORT=str(settings.ENVIRONMENT.console_port),
        REGISTRY_PORT=str(settings.ENVIRONMENT.registry_port),
        **variables,
    )
    stack.console_port, stack.registry_port = settings.ENVIRONMENT.console_port, settings.ENVIRONMENT.registry_port
    stack.console_url, stack.registry_address = settings.CONSOLE_URL, f"127.0.0.1:{stack.registry_port}"
    return stack


def stop(stack: Stack) -> None:
    """Stop it, and check that no process is left."""
    if stack.process is not None and stack.process.poll() is None:
        stack.signal()
        stack.wait()


def clean_up() -> None:
    """Remove the folders that the import has created."""
    shutil.rmtree(TESTS_FOLDER, ignore_errors=True)
    if not GIVEN:
        shutil.rmtree(FOLDER, ignore_errors=True)


def owner() -> Account:
    """The account that may push to ``bench/…``; created if missing."""
    known = Account.objects.filter(name="Bench").first()
    if known is not None:
        return known
    account = create_account("Bench", None, "another-Long-passphrase-2")
    enable(account, USERNAME, PASSWORD)
    mark_activated(account)
    create_namespace(account, NAMESPACE, unoccupied=True)
    return account


def token(repositories: Iterable[str], *actions: str) -> dict[str, str]:
    """The authorization header of ``owner`` for these repositories."""
    grants = [Access("repository", name, frozenset(actions)) for name in repositories]
    return {"Authorization": f"Bearer {sign(USERNAME, grants).text}"}


@dataclass(frozen=True)
class Small:
    """A manifest with a tiny config and layer; ``config`` is set if it has to be pushed, too."""

    repository: str
    tag: str
    content: bytes
    digest: str
    config: bytes = b""


class Pusher:
    """Pushes manifests over one persistent connection.

    :param port: of the registry, on the loopback address.
    :param headers: sent with each request.
    """

    def __init__(self, port: int, headers: dict[str, str] | None = None) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = headers or {}

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> http.client.HTTPResponse:
        """Send a request and read the whole response.

        :raises RuntimeError: when it is not successful.
        """
        self.connection.request(method, path, body, {**self.headers, **headers})
        answer = self.connection.getresponse()
        answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status}")
        return answer

    def blob(self, repository: str, content: bytes) -> str:
        """Upload a blob; returns its digest."""
        found = digest(content)
        location = self.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        path = location[location.index("/v2/") :]
        self.request("PUT", f"{path}&digest={found}", content, **{"Content-Type": "application/octet-stream"})
        return found

    def manifest(self, small: Small) -> None:
        """Push the manifest with its tag."""
        if small.config:
            self.blob(small.repository, small.config)
        path = f"/v2/{small.repository}/manifests/{small.tag}"
        self.request("PUT", path, small.content, **{"Content-Type": DOCKER_MANIFEST})

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def digest(content: bytes) -> str:
    """The digest of a blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def small_images(
    port: int, headers: dict[str, str], repositories: list[str], prefix: str, *, own_config: bool = False
) -> Iterator[Small]:
    """An endless sequence of different manifests, distributed over ``repositories``; their blobs exist.

    :param own_config: whether each has its own config, which is pushed with it; otherwise a repository's share one.
    """
    pusher = Pusher(port, headers)
    shared = json.dumps({"os": "linux", "architecture": "amd64"}).encode()
    for repository in repositories:
        pusher.blob(repository, shared)
        pusher.blob(repository, _LAYER)
    pusher.close()

    def build() -> Iterator[Small]:
        number = 0
        while True:
            name = f"{prefix}{number}"
            own = json.dumps({"os": "linux", "architecture": "amd64", "author": name}).encode() if own_config else b""
            config = own or shared
            document = {
                "schemaVersion": 2,
                "mediaType": DOCKER_MANIFEST,
                "config": {"mediaType": DOCKER_CONFIG, "digest": digest(config), "size": len(config)},
                "layers": [{"mediaType": DOCKER_LAYER, "digest": digest(_LAYER), "size": len(_LAYER)}],
                "annotations": {"number": name},
            }
            content = json.dumps(document).encode()
            repository = repositories[number % len(repositories)]
            yield Small(repository, name, content, digest(content), own)
            number += 1

    return build()


def push_for(
    port: int, headers: dict[str, str], images: Iterator[Small], seconds: float, rate: float = 0.0
) -> list[tuple[Small, float]]:
    """Push from ``CLIENTS`` concurrent clients; returns each image with the time (``time.time()``) of its response.

    :param rate: pushes per second of all clients together; unlimited by default.
    """
    lock, pushed, failed = threading.Lock(), list[tuple[Small, float]](), list[BaseException]()
    begun = time.monotonic()
    taken = 0

    def following() -> tuple[Small, float]:
        nonlocal taken
        with lock:
            due = begun + taken / rate if rate else 0.0
            taken += 1
            return next(images), due

    def run() -> None:
        pusher = Pusher(port, headers)
        try:
            while time.monotonic() - begun < seconds:
                small, due = following()
                time.sleep(max(0.0, due - time.monotonic()))
                pusher.manifest(small)
                with lock:
                    pushed.append((small, time.time()))
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            failed.append(error)
        finally:
            pusher.close()

    in_parallel(run, CLIENTS)
    if failed:
        raise failed[0]
    return pushed


def in_parallel(call: Callable[[], None], times: int) -> None:
    """Run ``call`` in so many concurrent threads, and wait for all of them."""
    threads = [threading.Thread(target=call) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def family(pid: int) -> list[psutil.Process]:
    """A process with all its descendants."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_of(processes: Iterable[psutil.Process]) -> float:
    """CPU seconds of these processes so far, including their ended children."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def parts(stack: Stack) -> dict[str, list[psutil.Process]]:
    """The processes of a running product by the name of the part, including ``supervisor``."""
    rows = json.loads((stack.data_dir / "run" / "children.json").read_text())
    found = {row["name"]: family(row["pid"]) for row in rows}
    if stack.process is not None:
        found["supervisor"] = [psutil.Process(stack.process.pid)]
    return found
