"""The token scopes of each call, in Distribution's grammar."""

from __future__ import annotations

from registry_client.names import Repository

CATALOG = ("registry:catalog:*",)


def pull(repository: Repository) -> tuple[str, ...]:
    """Read a repository."""
    return (f"repository:{repository}:pull",)


def push(repository: Repository) -> tuple[str, ...]:
    """Write to a repository; the registry requires ``pull`` for that as well."""
    return (f"repository:{repository}:pull,push",)


def delete(repository: Repository) -> tuple[str, ...]:
    """Delete from a repository."""
    return (f"repository:{repository}:pull,delete",)


def mount(repository: Repository, source: Repository) -> tuple[str, ...]:
    """Mount a blob of ``source`` in ``repository``."""
    return (*push(repository), *pull(source))
