"""Pushes that arrive while some tags of an image are being deleted."""

from __future__ import annotations

import time

from console.jobs.outages import is_of_one_tag
from console.registry.connection import at_once, registry
from console.registry.contents import is_tombstone, readable_digest
from console.registry.index import hints, sync
from console.repositories.models import Image, Tag
from registry_client import NameUnknown, RegistryError

# Up to so many tags, each is asked for anew before the first digest is deleted: half a second at most.
CHEAP_TO_ASK = 500


class LatePushes:
    """Takes in what was pushed until now, so that no digest that a tag needs is taken for unneeded.

    Notifications may be late or lost. So each tag is asked for, too: at the beginning, and again whenever as much time
    has gone by as that takes.
    """

    def __init__(self, image: Image) -> None:
        self.image = image
        self._ended = self._took = 0.0

    def sync_new(self, *, anew: bool = False) -> bool:
        """Take in what there is; whether there was anything.

        :param anew: whether to ask for each tag even if that was done a moment ago.
        :raises registry_client.RegistryError: when the registry does not answer, or no longer knows the repository
            although other tags of the image should be there.
        """
        followed = self._follow()
        indexed = dict(Tag.objects.filter(image=self.image).values_list("name", "manifest__digest"))
        listed = self._listed()
        names = [name for name in listed if name not in indexed]
        since = time.monotonic() - self._ended
        if since >= self._took or (anew and len(listed) <= CHEAP_TO_ASK):
            names += self._moved({name: indexed[name] for name in listed if name in indexed})
        self.sync_tags(names)
        return bool(names) or followed

    def sync_tags(self, names: list[str]) -> None:
        """Bring the rows of these tags in line with the registry; one that it cannot read stays as it is."""
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

    def _follow(self) -> bool:
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
                raise  # writing to it now would make it look as if those had been deleted
            return []

    def _moved(self, indexed: dict[str, str]) -> list[str]:
        begun = time.monotonic()
        present = at_once(lambda name: readable_digest(self.image.repository, name), indexed)
        self._ended = time.monotonic()
        self._took = self._ended - begun
        return [
            name
            for (name, digest), now in zip(indexed.items(), present, strict=True)
            if now and now != digest and not is_tombstone(now)
        ]
