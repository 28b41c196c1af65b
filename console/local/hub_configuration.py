"""The cache of Docker Hub's official images: the configurations of the registry processes that serve it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from console.installation.environment import DOCKER_HUB, Environment
from console.installation.keys import Keys
from console.local import registry
from console.local.registry_program import ADVISORY, Registry

# How long a process that is to end goes on with the answers it has begun.
DRAIN_SECONDS = 3


def folder(environment: Environment) -> Path:
    """Where the cache's configurations and its storage are."""
    return environment.data_dir / "dockerhub"


def credentials_at_risk(environment: Environment, program: Registry | None) -> str:
    """What is wrong with giving the cache the credentials for its upstream, empty when nothing is.

    A registry without the fix for CVE-2026-33540 sends them to whatever token server the upstream names.

    :param program: what will run; ``None`` for a container.
    """
    if not environment.dockerhub_username or (program is not None and program.fixed):
        return ""
    return f"this registry does not have the fix for {ADVISORY} and sends them to any server that its upstream names"


def gets_credentials(environment: Environment, program: Registry | None) -> bool:
    """Whether the cache is given the credentials: with the fix, or where Docker Hub itself, by TLS, is the upstream.

    From there the credentials go to Docker Hub's own token server, unless Docker Hub or TLS is broken.
    """
    return not credentials_at_risk(environment, program) or environment.dockerhub_upstream == DOCKER_HUB


def caching(environment: Environment, keys: Keys, *, credentials: bool = True) -> dict[str, Any]:
    """The pull-through cache (Distribution, "Registry as a pull through cache"): what is missing comes from upstream.

    It takes no pushes. What it fetched it removes a week later, for which it must be allowed to delete, and fetches
    it anew when somebody asks. When it starts, the upstream must answer: it ends otherwise.

    :param credentials: whether it is given those for the upstream, where there are any.
    """
    whole = _common(environment, keys, environment.dockerhub_port)
    whole["storage"]["delete"] = {"enabled": True}
    whole["proxy"] = {"remoteurl": environment.dockerhub_upstream}
    if environment.dockerhub_username and credentials:
        whole["proxy"] |= {"username": environment.dockerhub_username, "password": environment.dockerhub_password}
    return whole


def plain(environment: Environment, keys: Keys, port: int, service: str = "") -> dict[str, Any]:
    """A registry that serves what the cache holds, takes nothing and asks nobody.

    In the cache's place while the upstream is away, and beside it for the console's own questions.

    :param service: its name, the audience of tokens for it; the cache's when not given.
    """
    whole = _common(environment, keys, port)
    whole["auth"]["token"]["service"] = service or environment.dockerhub_service
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
