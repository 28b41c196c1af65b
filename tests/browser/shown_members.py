"""Members of a namespace, and a namespace that is offered to its owner, for the sites that a browser shows."""

from __future__ import annotations

from console.access.roles import Role
from console.membership.models import HandOver
from console.namespaces.models import Namespace
from tests.support.factories import (
    ActivatedAccountFactory,
    GrantFactory,
    NamespaceFactory,
    TeamFactory,
    TeamMemberFactory,
)


def make_members(team: Namespace, image, names: tuple[str, str, str], offered: str) -> dict[str, str]:
    """Another owner, a team with a member, and somebody on an image; gives the words of their addresses.

    :param names: of the people, of the team, and of who offers the namespace ``offered``.
    """
    person, crew, giver = names
    owner = GrantFactory(namespace=team, account__name=person, role=Role.OWNER).account
    member = GrantFactory(namespace=team, account__name=person, role=Role.MAINTAINER, granted_by=owner)
    group = TeamFactory(name=crew)
    TeamMemberFactory(team=group, account=member.account)
    GrantFactory(namespace=team, account=None, team=group, granted_by=owner)
    GrantFactory(namespace=team, image=image, account=None, team=group, granted_by=owner)
    space = NamespaceFactory(owner=ActivatedAccountFactory(name=giver), name=offered)
    HandOver.objects.create(namespace=space, to=team.owner, offered_by=space.owner)
    words = {"member": str(member.pk), "somebody": owner.account_id}
    return {**words, "shared": team.name, "offered": offered}
