"""What an account has roles on, read once for a list: its own namespaces, shared ones, and single shared images.

The condition of ``Image.objects.visible_to`` has three parts, and no index is in the order of all three. A list reads
the reach first, which it needs anyway for its filters, and then chooses its statement: the images of one owner have an
index for each order, and those of several are merged from the indexes of each (``console.repositories.merge``).
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Max, Q, QuerySet

from console.access.roles import Role, allows
from console.accounts.models import Account
from console.database.compiled import Compiled
from console.membership.models import Grant
from console.namespaces.models import Namespace
from console.repositories.models import Image

MINE, SHARED = "mine", "with-me"


@dataclass(frozen=True)
class Place:
    """A namespace that an account has a role on, or in which it has roles on single images.

    :ivar role: on the whole namespace; ``None`` with roles on single images alone.
    :ivar images: the roles on single images, by primary key.
    :ivar image_count: how many images the whole namespace has.
    """

    pk: int
    name: str
    owner: int
    changed_at: datetime.datetime
    image_count: int
    role: Role | None
    images: dict[int, Role]

    @property
    def whole(self) -> bool:
        """Whether the account may see all images of the namespace."""
        return allows(self.role, "image.view")


@dataclass(frozen=True)
class Reach:
    """The places of an account, by name. ``account`` is the primary key."""

    account: int
    places: tuple[Place, ...]
    of_one_namespace: bool = False

    def only(self, which: str) -> Reach:
        """The part that is the account's own (``MINE``), or shared with it (``SHARED``); otherwise all of it."""
        if which == MINE:
            return Reach(self.account, tuple(one for one in self.places if one.owner == self.account))
        if which == SHARED:
            return Reach(self.account, tuple(one for one in self.places if one.owner != self.account))
        return self

    def of(self, namespace: str) -> Reach:
        """The part that is in the namespace of this name."""
        return Reach(self.account, tuple(one for one in self.places if one.name == namespace), of_one_namespace=True)

    @property
    def shared(self) -> bool:
        """Whether there is anything of others."""
        return any(one.owner != self.account for one in self.places)

    @property
    def owners(self) -> list[int]:
        """The owners of the places, by primary key."""
        return sorted({one.owner for one in self.places})

    @property
    def namespaces(self) -> list[int]:
        """The namespaces of which the account may see all images, by primary key."""
        return [one.pk for one in self.places if one.whole]

    @property
    def single_images(self) -> list[int]:
        """The images that the account may see in namespaces that it may not see as a whole, by primary key."""
        return [image for one in self.places if not one.whole for image in one.images]

    @property
    def image_count(self) -> int:
        """How many images there are in all."""
        return sum(one.image_count if one.whole else len(one.images) for one in self.places)

    @property
    def images(self) -> QuerySet[Image]:
        """The images, as ``Image.objects.visible_to`` has them, with what was read in place of subqueries."""
        if not self.shared and not self.of_one_namespace:
            return Image.objects.owned_by(Account(pk=self.account)) if self.places else Image.objects.none()
        return Image.objects.filter(Q(namespace__in=self.namespaces) | Q(pk__in=self.single_images))

    def role_on(self, repository: str, image: int) -> Role | None:
        """The role on an image of the reach.

        :param repository: its full name.
        :param image: its primary key.
        """
        name = repository.partition("/")[0]
        place = next((one for one in self.places if one.name == name), None)
        roles = [role for role in (place.role, place.images.get(image)) if role is not None] if place else []
        return max(roles, default=None)

    @property
    def mark(self) -> str:
        """A short text that changes when a role is given, changed, taken or expired."""
        text = repr([(one.pk, one.owner, one.role, sorted(one.images.items())) for one in self.places])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def reach_of(account: Account) -> Reach:
    """Read what an account has roles on; two queries."""
    own = [Place(*(*row, Role.OWNER, {})) for row in _own(account.pk)]
    shared: dict[int, Place] = {}
    for image, role, *namespace in _granted(account.pk):
        place = shared.setdefault(namespace[0], Place(*(*namespace, None, {})))
        if image is None:
            shared[place.pk] = replace(place, role=Role(role))
        else:
            place.images[image] = Role(role)
    places = [*own, *(place for place in shared.values() if place.owner != account.pk)]
    return Reach(account.pk, tuple(sorted(places, key=lambda one: one.name)))


_COLUMNS = ("pk", "name", "owner", "changed_at", "image_count")


@Compiled
def _own(account: int) -> QuerySet[Namespace, tuple[Any, ...]]:
    return Namespace.objects.owned_by(Account(pk=account)).order_by("name").values_list(*_COLUMNS)


@Compiled
def _granted(account: int) -> QuerySet[Grant, tuple[Any, ...]]:
    grants = Grant.objects.held_by(account).order_by().values("namespace", "image").annotate(highest=Max("role"))
    return grants.values_list("image", "highest", *(f"namespace__{column}" for column in _COLUMNS))


def names_of_owners(owners: Collection[int]) -> dict[int, str]:
    """The names of accounts, by primary key; no query for none."""
    return dict(Account.objects.filter(pk__in=owners).values_list("pk", "name")) if owners else {}
