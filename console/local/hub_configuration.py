"""Configurations of the registry processes for the cache of Docker Hub's official images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from console.installation.environment import DOCKER_HUB, Environment
from console.installation.keys import Keys
from console.local import registry
from console.local.registry_program import ADVISORY, Registry

# Graceful stop: how long running responses may take.
DRAIN_SECONDS = 3


def folder(environment: Environment) -> Path:
    """Folder of the cache's configurations and storage."""
    return environment.data_dir / "dockerhub"


def credentials_at_risk(environment: Environment, program: Registry | None) -> str:
    """Why it is not safe to give the cache the credentials for its upstream; empty if it is safe.

    A registry without the fix for CVE-2026-33540 sends them to any token server that the upstream names.

    :param program: what will run; ``None`` for a container.
    """
    if not environment.dockerhub_username or (program is not None and program.fixed):
        return ""
    return f"this registry does not have the fix for {ADVISORY} and sends them to any server that its upstream names"


def gets_credentials(environment: Environment, program: Registry | None) -> bool:
    """Whether the cache gets the credentials: with the fix, or if the upstream is Docker Hub itself over TLS.

    Docker Hub sends clients to its own token server, unless it or TLS is compromised.
    """
    return not credentials_at_risk(environment, program) or environment.dockerhub_upstream == DOCKER_HUB


def caching(environment: Environment, keys: Keys, *, credentials: bool = True) -> dict[str, Any]:
    """The pull-through cache (Distribution, "Registry as a pull through cache"): fetches missing content upstream.

    It accepts no pushes. It evicts content after a week, for which deletes must be enabled, and fetches it again on
    demand. The upstream must answer when it starts: it exits otherwise.

    :param credentials: whether it gets the credentials for the upstream, if there are any.
    """
    whole = _common(environment, keys, environment.dockerhub_port)
    whole["storage"]["delete"] = {"enabled": True}
    whole["proxy"] = {"remoteurl": environment.dockerhub_upstream}
    if environment.dockerhub_username and credentials:
        whole["proxy"] |= {"username": environment.dockerhub_username, "password": environment.dockerhub_password}
    return whole


def plain(environment: Environment, keys: Keys, port: int, service: str = "") -> dict[str, Any]:
    """A read-only registry that serves the cached content without an upstream.

    It replaces the cache during an outage of the upstream, and runs beside it for the console's own requests.

    :param service: its service name (audience of tokens); that of the cache by default.
    """
    whole = _common(environment, keys, port)
    whole["auth"]["token"]["service"] = service or environment.dockerhub_service
    whole["storage"]["maintenance"] = {"uploadpurging": {"enabled": False}, "readonly": {"enabled": True}}
    return whole


def _common(environment: Environment, keys: Keys, port: int) -> dict[str, Any]:
    """The common part: storage, and tokens that the console signs for this service."""
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
