"""Commands to use the cache with Docker Engine."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django import template
from django.conf import settings

register = template.Library()

# A separate folder: its credentials are stored under Docker Hub's name, but are not valid at Docker Hub.
_FOLDER = "~/.docker/official"
# The name under which Docker stores the credentials for Docker Hub.
_DOCKERHUB = "https://index.docker.io/v1/"


@dataclass(frozen=True)
class Use:
    """The commands for a user and a tag of an official image: by the cache's address, and as a mirror."""

    username: str
    name: str
    tag: str

    @property
    def login(self) -> str:
        """Log in to the cache."""
        # Without the folder that the cache may be at the registry's address: credentials are a host's.
        return f"docker login --username={self.username} {settings.DOCKERHUB_ADDRESS.partition('/')[0]}"

    @property
    def pull(self) -> str:
        """Pull from the cache by its address."""
        return f"docker pull {settings.DOCKERHUB_ADDRESS}/library/{self.name}:{self.tag}"

    @property
    def has_own_address(self) -> bool:
        """Whether the cache is a registry of its own, and not a folder of ours: only such a one can be a mirror."""
        return not settings.DOCKERHUB_FOLDER

    @property
    def mirror_setting(self) -> str:
        """The setting in ``daemon.json``: the Engine accepts plain HTTP only for its own machine."""
        host = settings.DOCKERHUB_ADDRESS.rpartition(":")[0] or settings.DOCKERHUB_ADDRESS
        scheme = "http" if host == "localhost" or host.startswith("127.") else "https"
        return json.dumps({"registry-mirrors": [f"{scheme}://{settings.DOCKERHUB_ADDRESS}"]})

    @property
    def mirror_login(self) -> str:
        """Log in to the cache, with the credentials stored in the folder."""
        return f"docker --config {_FOLDER} login --username={self.username} {settings.DOCKERHUB_ADDRESS}"

    @property
    def mirror_rename(self) -> str:
        """Rename the stored credentials, so that the Engine uses them for Docker Hub."""
        return f"sed -i 's|{settings.DOCKERHUB_ADDRESS}|{_DOCKERHUB}|' {_FOLDER}/config.json"

    @property
    def mirror_pull(self) -> str:
        """Pull through the mirror."""
        return f"docker --config {_FOLDER} pull {self.name}:{self.tag}"


@register.simple_tag
def use_of(username: str | None, name: str, tag: str) -> Use:
    """The commands for a tag of an official image.

    :param username: for ``docker login``; ``None`` for an account without one.
    """
    return Use(username or "[UserName]", name, tag)
