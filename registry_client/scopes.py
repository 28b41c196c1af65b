"""What each call needs to be allowed, in the grammar of Distribution's token scopes."""

from __future__ import annotations

from registry_client.names import Repository

CATALOG = ("registry:catalog:*",)


def pull(repository: Repository) -> tuple[str, ...]:
    """To read a repository."""
    return (f"repository:{repository}:pull",)


def push(repository: Repository) -> tuple[str, ...]:
    """To write to a repository; the registry wants ``pull`` for that as well."""
    return (f"repository:{repository}:pull,push",)


def delete(repository: Repository) -> tuple[str, ...]:
    """To delete from a repository."""
    return (f"repository:{repository}:pull,delete",)


def mount(repository: Repository, source: Repository) -> tuple[str, ...]:
    """To mount a blob of ``source`` in ``repository``."""
    return (*push(repository), *pull(source))
