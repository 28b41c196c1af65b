"""Sync pushes that arrive while some tags of an image are being deleted."""

from __future__ import annotations

import time

from console.jobs.outages import is_of_one_tag
from console.registry.connection import registry
from console.registry.deletion.steps import moved_tags
from console.registry.index import hints, sync
from console.repositories.models import Image, Tag
from registry_client import NameUnknown, RegistryError

# Up to so many tags, each is read again before the first manifest is removed: half a second at most.
CHEAP_TO_ASK = 500


class LatePushes:
    """Brings the index up to date, so that no manifest is removed that a tag needs.

    Notifications may be late or lost. So the tags themselves are read, too: at the beginning, and again whenever as
    much time has passed as reading them took.
    """

    def __init__(self, image: Image) -> None:
        self.image = image
        self._ended = self._took = 0.0

    def sync_new(self, *, read_all: bool = False) -> bool:
        """Sync what was pushed until now; whether there was anything.

        :param read_all: whether to read each tag even if that was done a moment ago.
        :raises registry_client.RegistryError: when the registry does not answer, or no longer knows the repository
            although other tags of the image should be there.
        """
        synced = self._sync_hints()
        indexed = dict(Tag.objects.filter(image=self.image).values_list("name", "manifest__digest"))
        listed = self._listed()
        names = [name for name in listed if name not in indexed]
        since = time.monotonic() - self._ended
        if since >= self._took or (read_all and len(listed) <= CHEAP_TO_ASK):
            names += self._moved({name: indexed[name] for name in listed if name in indexed})
        self.sync_tags(names)
        return bool(names) or synced

    def sync_tags(self, names: list[str]) -> None:
        """Sync these tags; one that the registry cannot read stays as it is."""
        if not names:
            return
        reader = sync.TagSync(self.image.repository)
        for name in names:
            try:
                reader.sync_tag(name)
            except RegistryError as error:
                if not is_of_one_tag(error):
                    raise
        reader.refresh_totals()

    def _sync_hints(self) -> bool:
        try:
            return hints.sync_repository(self.image.repository) > 0
        except RegistryError as error:
            if not is_of_one_tag(error):
                raise
            return True  # its row says what the tag pointed at

    def _listed(self) -> list[str]:
        try:
            return registry().tags(self.image.repository)
        except NameUnknown:
            if Tag.objects.filter(image=self.image, state=Tag.State.ACTIVE).exists():
                raise  # writing to the repository now would make the other tags seem deleted
            return []

    def _moved(self, indexed: dict[str, str]) -> list[str]:
        begun = time.monotonic()
        moved = moved_tags(self.image.repository, indexed)
        self._ended = time.monotonic()
        self._took = self._ended - begun
        return list(moved)
