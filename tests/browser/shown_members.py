"""Members of a namespace, and a namespace that is offered to its owner, for the sites that a browser shows."""

from __future__ import annotations

import datetime

from django.utils import timezone

from console.access.roles import Role
from console.membership.models import HandOver, Invitation, TeamGroup
from console.namespaces.models import Namespace
from tests.support.factories import (
    ActivatedAccountFactory,
    GrantFactory,
    NamespaceFactory,
    TeamFactory,
    TeamMemberFactory,
)


def make_members(team: Namespace, image, names: tuple[str, str, str], offered: str) -> dict[str, str]:
    """Another owner, a team of the first owner's with a member, somebody on an image, and two invitations.

    Gives the words of their addresses.

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
    TeamMemberFactory(team=group, account=team.owner, is_manager=True)
    TeamGroup.objects.create(team=group, group=f"staff/{crew}")
    week = timezone.now() + datetime.timedelta(days=7)
    invitation = Invitation.objects.create(
        namespace=space, role=Role.READER, account=team.owner, invited_by=space.owner, expires_at=week
    )
    own = Invitation.objects.create(
        namespace=team, role=Role.WRITER, account=space.owner, invited_by=team.owner, expires_at=week
    )
    return {
        "member": str(member.pk),
        "somebody": owner.account_id,
        "somebody_pk": str(owner.pk),
        "shared": team.name,
        "offered": offered,
        "namespace:team": crew,
        "team_pk": str(group.pk),
        "int:account": str(member.account_id),
        "invitation": str(invitation.pk),
        "own_invitation": str(own.pk),
    }
