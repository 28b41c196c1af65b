"""Names of namespaces, images and repositories."""

from __future__ import annotations

import re

NAMESPACE_PATTERN = r"^[a-z0-9]+(?:[._-][a-z0-9]+)*$"
# Characters.
NAMESPACE_LENGTHS = (2, 30)
RESERVED_NAMESPACES = ("admin", "docker", "dockerhub", "library", "system")

# Components as in the reference grammar of Distribution ("path-component"), joined by "/".
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
IMAGE_PATTERN = rf"^{_COMPONENT}(?:/{_COMPONENT})*$"
# Characters.
IMAGE_LENGTHS = (2, 200)

_NAMESPACE = re.compile(NAMESPACE_PATTERN)
_IMAGE = re.compile(IMAGE_PATTERN)


def split_repository(name: str) -> tuple[str, str] | None:
    """Namespace and image name of a repository's name, or ``None`` when no image here can have that name."""
    namespace, slash, image = name.partition("/")
    valid = (
        slash
        and NAMESPACE_LENGTHS[0] <= len(namespace) <= NAMESPACE_LENGTHS[1]
        and IMAGE_LENGTHS[0] <= len(image) <= IMAGE_LENGTHS[1]
        and _NAMESPACE.fullmatch(namespace)
        and _IMAGE.fullmatch(image)
        and namespace not in RESERVED_NAMESPACES
    )
    return (namespace, image) if valid else None
