"""The cache of Docker Hub's official images: the configurations of the registry processes that serve it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from console.environment import Environment
from console.keys import Keys
from console.local import registry

# How long a process that is to end goes on with the answers it has begun.
DRAIN_SECONDS = 3


def folder(environment: Environment) -> Path:
    """Where the cache's configurations and its storage are."""
    return environment.data_dir / "dockerhub"


def caching(environment: Environment, keys: Keys) -> dict[str, Any]:
    """The pull-through cache (Distribution, "Registry as a pull through cache"): what is missing comes from upstream.

    It takes no pushes. What it fetched it removes a week later, for which it must be allowed to delete, and fetches
    it anew when somebody asks. When it starts, the upstream must answer: it ends otherwise.
    """
    whole = _common(environment, keys, environment.dockerhub_port)
    whole["storage"]["delete"] = {"enabled": True}
    whole["proxy"] = {"remoteurl": environment.dockerhub_upstream}
    if environment.dockerhub_username:
        whole["proxy"] |= {"username": environment.dockerhub_username, "password": environment.dockerhub_password}
    return whole


def plain(environment: Environment, keys: Keys, port: int) -> dict[str, Any]:
    """A registry that serves what the cache holds, takes nothing and asks nobody.

    In the cache's place while the upstream is away, and beside it for the console's own questions.
    """
    whole = _common(environment, keys, port)
    whole["storage"]["maintenance"] = {"uploadpurging": {"enabled": False}, "readonly": {"enabled": True}}
    return whole


def _common(environment: Environment, keys: Keys, port: int) -> dict[str, Any]:
    """What all of them have: the storage, and tokens that the console signs for this service and no other."""
    whole = registry.configuration(environment, keys)
    token = {**whole["auth"]["token"], "service": environment.dockerhub_service}
    return {
        "version": whole["version"],
        "log": whole["log"],
        "storage": {"filesystem": {"rootdirectory": str(folder(environment) / "data")}},
        "http": {**whole["http"], "addr": f"127.0.0.1:{port}", "draintimeout": f"{DRAIN_SECONDS}s"},
        "catalog": whole["catalog"],
        "auth": {"token": token},
    }
