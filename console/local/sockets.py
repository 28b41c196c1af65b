"""Unix sockets of the services behind the edge: only the edge and the supervisor reach them."""

from __future__ import annotations

import os
from pathlib import Path

from console.installation.environment import Environment
from console.local.problems import Problem


def console(environment: Environment) -> list[Path]:
    """The sockets of gunicorn, one for each process, so that the edge can balance requests among them."""
    return [environment.service_sockets / f"console-{number}.sock" for number in range(environment.web_workers)]


def registry(environment: Environment) -> Path:
    """The socket of the bundled registry."""
    return environment.service_sockets / "registry.sock"


def dockerhub(environment: Environment) -> Path:
    """The socket of the cache of Docker Hub's images."""
    return environment.service_sockets / "dockerhub.sock"


def edge(environment: Environment) -> Path:
    """The socket where the edge takes another configuration."""
    return environment.service_sockets / "edge.sock"


def make_folder(environment: Environment) -> None:
    """Create the folder of the sockets, which other users cannot enter.

    :raises Problem: when somebody else has created it: outside of the data folder everybody could.
    """
    folder = environment.service_sockets
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise Problem(f"{folder} belongs to another user; remove it, or choose a DATA_DIR with a shorter path.")
    folder.chmod(0o700)
