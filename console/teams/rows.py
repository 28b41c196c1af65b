"""Rows of the pages of teams: members with where they come from, and the roles of a team."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, Min, OuterRef, Q, QuerySet

from console.accounts.models import Account
from console.membership.models import Grant, Team, TeamGroup, TeamMember
from console.teams.groups import groups_held


@dataclass(frozen=True)
class MemberRow:
    """A member of a team.

    :ivar by_hand: whether a person added the account, and not the provider's groups alone.
    :ivar groups: the names of the groups that put the account into the team.
    """

    account: Account
    since: Any
    is_manager: bool
    by_hand: bool
    by_group: bool
    groups: list[str]


def members_of(team: Team, text: str = "", *, by_account_id: bool = False) -> QuerySet[Account]:
    """The accounts in a team, each once, with ``since``, ``is_manager``, ``by_hand`` and ``by_group``.

    :param text: a part of their name.
    :param by_account_id: whether the text may also be an Account ID.
    """
    rows = TeamMember.objects.filter(team=team)
    own = rows.filter(account=OuterRef("pk"))
    found = (
        Account.objects.filter(team_memberships__team=team)
        .annotate(
            since=Min("team_memberships__created_at"),
            is_manager=Exists(own.filter(is_manager=True)),
            by_hand=Exists(own.filter(source=TeamMember.Source.HAND)),
            by_group=Exists(own.filter(source=TeamMember.Source.GROUP)),
        )
        .order_by()
    )
    if text:
        wanted = Q(name__icontains=text)
        found = found.filter(wanted | Q(account_id=text) if by_account_id else wanted)
    return found


def member_rows(team: Team, accounts: list[Any]) -> list[MemberRow]:
    """The accounts of a page with the groups that put them into the team. Two queries."""
    mapped = set(TeamGroup.objects.filter(team=team).values_list("group", flat=True))
    held = groups_held([account.pk for account in accounts if account.by_group])
    return [
        MemberRow(
            account,
            account.since,
            account.is_manager,
            account.by_hand,
            account.by_group,
            sorted(mapped & held.get(account.pk, set())) if account.by_group else [],
        )
        for account in accounts
    ]


def roles_of(team: Team) -> QuerySet[Grant]:
    """The current roles of a team. Each member has them, and may therefore see all of them."""
    return Grant.objects.current().filter(team=team).select_related("namespace", "image")
