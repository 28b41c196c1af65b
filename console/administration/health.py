"""Health checks that may have to wait for somebody: the registry, and the disk with its storage."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from console.local.storage import Room
from console.registry.connection import registry_answers


@dataclass(frozen=True)
class Health:
    """What was found out just now.

    :ivar registry: whether the registry answers.
    :ivar free: bytes free on the disk with the bundled registry's storage; ``None`` when it is not on this machine.
    :ivar read_only: whether there is so little room that the bundled registry takes no writes.
    """

    registry: bool
    free: int | None
    read_only: bool

    @classmethod
    def now(cls) -> Health:
        """Ask. It takes three seconds at most."""
        room = _room()
        return cls(registry_answers(), room.bytes if room else None, room.low if room else False)


def _room() -> Room | None:
    if not settings.REGISTRY_IS_OURS:
        return None
    try:
        return Room.on(settings.ENVIRONMENT.data_dir / "registry" / "data")
    except OSError:  # nothing was stored yet
        return None
