"""Why somebody has access: each role of an account, and where it comes from."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from enum import Enum

from console.access.roles import Role
from console.accounts.models import Account
from console.membership.models import Grant, Team, TeamMember
from console.namespaces.models import Namespace
from console.repositories.models import Image
from console.sharing.services import grants_on


class Source(Enum):
    """Where a role comes from."""

    OWNER = "owner"
    NAMESPACE = "namespace"
    IMAGE = "image"


@dataclass(frozen=True)
class Reason:
    """One reason for the access of an account or a team.

    :ivar account: who has access; ``None`` for a row of a whole team.
    :ivar source: the namespace's own account, a grant on the namespace, or a grant on the image.
    :ivar team: the team by which the account has the role, or that has it.
    :ivar grant: the grant to take away; ``None`` for the namespace's own account.
    :ivar place: the name of the namespace or the image that the role is on.
    """

    account: Account | None
    role: Role
    source: Source
    place: str
    team: Team | None = None
    grant: Grant | None = None

    @property
    def until(self) -> datetime.datetime | None:
        """When the role ends; ``None`` for good."""
        return self.grant.until if self.grant is not None else None


def holders_on(namespace: Namespace, image: Image | None = None) -> list[Reason]:
    """Who has a role on a namespace, or on an image and its namespace: one entry for each account or team and grant.

    The namespace's own account comes first, then the highest roles. Two queries.
    """
    found = [Reason(namespace.owner, Role.OWNER, Source.OWNER, namespace.name)]
    return found + [reason_of(grant, grant.account) for grant in grants_on(namespace, image)]


def reasons_of(account: Account, namespace: Namespace, image: Image | None = None) -> list[Reason]:
    """All reasons why an account has a role on a namespace, or on an image; the highest role first. One query."""
    found = [Reason(account, Role.OWNER, Source.OWNER, namespace.name)] if namespace.owner_id == account.pk else []
    own = Grant.objects.held_by(account.pk).filter(pk__in=grants_on(namespace, image).order_by().values("pk"))
    return found + [reason_of(grant, account) for grant in own.select_related("team", "image", "namespace")]


def all_reasons_of(account: Account) -> list[Reason]:
    """Every role that an account has, on every namespace and image, by name. Two queries."""
    owned = [
        Reason(account, Role.OWNER, Source.OWNER, namespace.name) for namespace in Namespace.objects.owned_by(account)
    ]
    held = Grant.objects.held_by(account.pk).select_related("team", "image__namespace", "namespace")
    return sorted([*owned, *(reason_of(grant, account) for grant in held)], key=lambda one: (one.place, -one.role))


def members_of(teams: list[Team]) -> dict[int, list[TeamMember]]:
    """The members of teams by the team's primary key, each with its account. One query."""
    found: dict[int, list[TeamMember]] = {team.pk: [] for team in teams}
    for member in TeamMember.objects.filter(team__in=teams).select_related("account"):
        found[member.team_id].append(member)
    return found


def reason_of(grant: Grant, account: Account | None) -> Reason:
    """The reason that a grant is; read with its team, image and namespace."""
    source = Source.IMAGE if grant.image_id is not None else Source.NAMESPACE
    place = grant.image.full_name if grant.image is not None else grant.namespace.name
    return Reason(account, Role(grant.role), source, place, grant.team, grant)
