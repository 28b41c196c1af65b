"""The commands with which Docker Engine uses the cache."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django import template
from django.conf import settings

from console.access import rules

register = template.Library()

# A folder of its own: what is stored in it under Docker Hub's name would not do for Docker Hub itself.
_FOLDER = "~/.docker/official"
# The name under which Docker stores the credentials for Docker Hub.
_DOCKERHUB = "https://index.docker.io/v1/"


@dataclass(frozen=True)
class Use:
    """What to type, for one person and one tag of an official image; by the cache's address, and as a mirror."""

    username: str
    name: str
    tag: str

    @property
    def login(self) -> str:
        """Logs in at the cache."""
        return f"docker login --username={self.username} {settings.DOCKERHUB_ADDRESS}"

    @property
    def pull(self) -> str:
        """Pulls through the cache by its address."""
        return f"docker pull {settings.DOCKERHUB_ADDRESS}/library/{self.name}:{self.tag}"

    @property
    def mirror_setting(self) -> str:
        """What ``daemon.json`` needs: the Engine takes a plain HTTP address only for the machine that it runs on."""
        host = settings.DOCKERHUB_ADDRESS.rpartition(":")[0] or settings.DOCKERHUB_ADDRESS
        scheme = "http" if host == "localhost" or host.startswith("127.") else "https"
        return json.dumps({"registry-mirrors": [f"{scheme}://{settings.DOCKERHUB_ADDRESS}"]})

    @property
    def mirror_login(self) -> str:
        """Logs in at the cache and keeps the credentials in the folder."""
        return f"docker --config {_FOLDER} login --username={self.username} {settings.DOCKERHUB_ADDRESS}"

    @property
    def mirror_rename(self) -> str:
        """Has the Engine take what is stored for the cache for what is stored for Docker Hub."""
        return f"sed -i 's|{settings.DOCKERHUB_ADDRESS}|{_DOCKERHUB}|' {_FOLDER}/config.json"

    @property
    def mirror_pull(self) -> str:
        """Pulls through the mirror."""
        return f"docker --config {_FOLDER} pull {self.name}:{self.tag}"


@register.simple_tag
def use_of(username: str | None, name: str, tag: str) -> Use:
    """The commands for a tag of an official image.

    :param username: for ``docker login``; ``None`` for somebody who has none yet.
    """
    return Use(username or "[UserName]", name, tag)


@register.simple_tag
def docker_hub_missing() -> str:
    """Why this run has no cache although it is wanted, as a sentence; empty when it has one, or none is wanted."""
    return rules.refuse_docker_hub() if settings.DOCKERHUB_MISSING else ""
