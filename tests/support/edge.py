"""The console as clients reach it: gunicorn behind the edge, without the rest of the product."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from console.installation.environment import BASE_DIR, Environment
from console.local import edge_configuration, gunicorn, health, sockets
from console.local.edge import Edge

START_SECONDS = 60


def alone(environment: Environment, name: str) -> dict[str, Any]:
    """The edge's configuration with one of its ports alone: that of "console" or of "dockerhub"."""
    whole = edge_configuration.configuration(environment, [environment.console_host], dockerhub=True)
    servers = whole["apps"]["http"]["servers"]
    whole["apps"]["http"]["servers"] = {name: servers[name]}
    return whole


@contextlib.contextmanager
def running(environment: Environment, content: Mapping[str, Any]) -> Iterator[subprocess.Popen]:
    """Run the edge during the block, with its output in the file ``edge.log`` beside its configuration."""
    front = Edge(environment, content)
    front.write()
    with (front.file.parent / "edge.log").open("wb") as log:
        process = subprocess.Popen(
            front.command(), env=front.variables(), cwd=BASE_DIR, stdout=log, stderr=subprocess.STDOUT
        )
    control = sockets.edge(environment)
    try:
        _wait(process, lambda: health.socket_answers(control, "/config/", {200}))
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def served(
    environment: Environment,
    application: str = "console.wsgi:application",
    variables: Mapping[str, str] | None = None,
    change: Any = lambda content: None,
) -> Iterator[tuple[str, int]]:
    """Serve ``application`` at the console's address during the block, which is yielded.

    :param environment: its sockets are in a folder of their own, so several may run at once.
    :param variables: the environment variables of gunicorn's processes; those of this process by default.
    :param change: is called with the edge's configuration, and may change it.
    """
    folder = Path(tempfile.mkdtemp(prefix="my-images-edge-"))
    own = dataclasses.replace(environment, data_dir=folder)
    sockets.make_folder(own)
    content = alone(own, "console")
    change(content)
    process = subprocess.Popen(
        gunicorn.command(own, application), cwd=BASE_DIR, env={**os.environ, **(variables or {})}
    )
    try:
        with running(own, content):
            for path in sockets.console(own):
                _wait(process, lambda path=path: health.socket_answers(path, "/healthz", set(range(200, 500))))
            yield environment.console_host, environment.console_port
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process, ready) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        assert process.poll() is None and time.monotonic() < deadline, "it did not start"
        time.sleep(0.02)
