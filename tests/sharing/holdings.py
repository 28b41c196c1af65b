"""Every way to have a role, for the tables of rights."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.utils import timezone

from console.access.roles import Role
from console.membership.models import ServiceAccount
from tests.support.factories import (
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    NamespaceFactory,
    TeamMemberFactory,
)

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Holding:
    """How an account has a role.

    :ivar on_image: the role is on ``app`` alone, not on its namespace.
    :ivar by_team: a team that the account is in has it.
    :ivar days: until when, from now; ``None`` for good. Negative: it has expired.
    :ivar service: the account is a service account, which has access tokens alone.
    """

    role: Role | None
    on_image: bool = False
    by_team: bool = False
    days: int | None = None
    service: bool = False

    @property
    def current(self) -> Role | None:
        """The role that counts now."""
        return None if self.days is not None and self.days < 0 else self.role

    def __str__(self) -> str:
        holder = "service account" if self.service else "team" if self.by_team else "account"
        place = "image" if self.on_image else "namespace"
        when = {None: "", 1: ", until tomorrow", -1: ", expired"}[self.days]
        return f"{self.role.name.title() if self.role else 'no role'}, {holder}, {place}{when}"


HOLDINGS = [
    Holding(None),
    *(Holding(role, on_image, by_team) for role in Role for on_image in (False, True) for by_team in (False, True)),
    *(Holding(role, days=1) for role in Role),
    *(Holding(role, on_image, by_team, -1) for role in Role for on_image, by_team in ((False, True), (True, False))),
    *(Holding(role, on_image, service=True) for role in Role for on_image in (False, True)),
]
# Without the service account: it never signs in.
OF_PEOPLE = [holding for holding in HOLDINGS if not holding.service]


class Place:
    """A namespace with two private images and a public one, an empty one, and an account that has a role there."""

    def __init__(self, holding: Holding) -> None:
        owner = ActivatedAccountFactory(name="The owner")
        self.namespace, self.empty = NamespaceFactory(owner=owner), NamespaceFactory(owner=owner)
        self.app, self.other = (ImageFactory(namespace=self.namespace, name=name) for name in ("app", "other"))
        self.open = ImageFactory(namespace=self.namespace, name="open", visibility="public")
        for image in (self.app, self.other, self.open):
            image.refresh_from_db()
        self.account = ActivatedAccountFactory(name="The member", is_service=holding.service)
        if holding.service:
            ServiceAccount.objects.create(account=self.account, namespace=self.namespace, name="robot")
        if holding.role is not None:
            holder = {"account": self.account}
            if holding.by_team:
                holder = {"account": None, "team": TeamMemberFactory(account=self.account).team}
            until = None if holding.days is None else timezone.now() + holding.days * DAY
            image = self.app if holding.on_image else None
            GrantFactory(namespace=self.namespace, image=image, role=holding.role, until=until, **holder)
            if not holding.on_image:
                GrantFactory(namespace=self.empty, role=holding.role, until=until, **holder)
        self.holding = holding
        self.new = f"{self.namespace.name}/new"

    @property
    def roles(self) -> dict[str, Role | None]:
        """The account's role on each repository; ``new`` is not there yet."""
        elsewhere = None if self.holding.on_image else self.holding.current
        others = dict.fromkeys((self.other.repository, self.open.repository, self.new), elsewhere)
        return {self.app.repository: self.holding.current, **others}
