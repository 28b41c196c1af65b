"""Members of teams by the groups of the identity provider.

The provider says at each sign-in which groups somebody is in. Which of them are mapped to a team is kept with the
identity (``SocialAccount.extra_data``), so that the end of one mapping ends what it alone gave.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.db import transaction
from django.db.models import F

from console.accounts.models import Account
from console.audit.services import MOST_NAMED, record
from console.database.conflicts import insert
from console.membership.models import Team, TeamGroup, TeamMember

# Bounds of a claim; what exceeds them is ignored.
MOST_GROUPS, LONGEST_GROUP = 1000, 255
_KEY = "groups"
_GROUP = TeamMember.Source.GROUP


def read_claim(value: Any) -> tuple[str, ...]:
    """The groups in a claim: a list of texts, or one text. Anything else in it is ignored."""
    values = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    good = (text for text in values[:MOST_GROUPS] if isinstance(text, str) and 0 < len(text) <= LONGEST_GROUP)
    return tuple(dict.fromkeys(text for text in good if _can_be_stored(text)))


def _can_be_stored(text: str) -> bool:
    """Whether the database can store a text: without NUL and lone surrogates."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def any_mapped() -> bool:
    """Whether a group is mapped to a team at all; otherwise nothing has to be asked of the provider."""
    return TeamGroup.objects.exists()


def sync(account: Account, issuer: str, subject: str, groups: Iterable[str]) -> None:
    """Make an account a member, by groups, of exactly the teams that its groups are mapped to.

    Members by hand are not changed. Call it in the transaction of the sign-in.

    :param issuer: of the identity that was used, with ``subject``. What another identity of the account had given ends.
    """
    held = list(groups)
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        found = TeamGroup.objects.filter(group__in=held)
        mapped = sorted({one.group for one in found})
        if {one.team_id for one in found} != _teams_by_group(account):
            # Locked, so that a mapping does not end between reading it and adding the member.
            locked = TeamGroup.objects.select_for_update(of=("self",)).filter(group__in=held).order_by("pk")
            found_now = list(locked)
            mapped = sorted({one.group for one in found_now})
            _apply(account, {one.team_id for one in found_now})
        _remember(account, issuer, subject, mapped)


def _teams_by_group(account: Account) -> set[int]:
    return set(TeamMember.objects.filter(account=account, source=_GROUP).values_list("team", flat=True))


def _apply(account: Account, wanted: set[int], **detail: Any) -> None:
    """Add and end the memberships by groups that differ, and record it."""
    present = _teams_by_group(account)
    joined = {team for team in wanted - present if insert(TeamMember(team_id=team, account=account, source=_GROUP))}
    left = present - wanted
    TeamMember.objects.filter(account=account, source=_GROUP, team__in=left).delete()
    if joined or left or detail:
        names = dict(Team.objects.filter(pk__in=joined | left).values_list("pk", "name"))
        record(
            "team.sync",
            account.account_id,
            joined=sorted(names[team] for team in joined)[:MOST_NAMED],
            left=sorted(names[team] for team in left)[:MOST_NAMED],
            **detail,
        )


def _remember(account: Account, issuer: str, subject: str, mapped: list[str]) -> None:
    """Keep which mapped groups the identity had at its latest sign-in, and none with the account's other identities."""
    for identity in SocialAccount.objects.filter(user=account):
        used = identity.provider == issuer and identity.uid == subject
        kept = mapped if used else []
        if identity.extra_data.get(_KEY, []) != kept:
            identity.extra_data[_KEY] = kept
            identity.save(update_fields=["extra_data"])


def end(account: Account, **detail: Any) -> None:
    """End an account's memberships by groups, until its next sign-in by single sign-on.

    :param detail: further facts for the audit event, which is written even if there was no membership.
    """
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        _apply(account, set(), **detail)
        for identity in SocialAccount.objects.filter(user=account):
            if identity.extra_data.pop(_KEY, None):
                identity.save(update_fields=["extra_data"])


def read_again(account: Account, **detail: Any) -> None:
    """Let the groups be read again: ends the memberships by groups and all sessions, so that the next sign-in does.

    No provider says which groups somebody has who is not signing in.
    """
    with transaction.atomic():
        end(account, sessions="ended", **detail)
        Account.objects.filter(pk=account.pk).update(sessions_ended=F("sessions_ended") + 1)


def add_mapping(team: Team, group: str, **detail: Any) -> TeamGroup | None:
    """Map a group to a team. Its holders become members at their next sign-in.

    :return: ``None`` if it is mapped already.
    """
    mapping = TeamGroup(team=team, group=group)
    with transaction.atomic():
        if not insert(mapping):
            return None
        record("team.map", team.name, group=group, **detail)
    return mapping


def remove_mapping(mapping: TeamGroup, **detail: Any) -> int:
    """End a mapping, and at once the memberships that no other group of the team gives.

    :return: how many memberships ended.
    """
    with transaction.atomic():
        deleted, _rows = TeamGroup.objects.filter(pk=mapping.pk).delete()
        if not deleted:
            return 0
        remaining = set(TeamGroup.objects.filter(team=mapping.team_id).values_list("group", flat=True))
        members = TeamMember.objects.filter(team=mapping.team_id, source=_GROUP).select_related("account")
        held = groups_held(member.account_id for member in members)
        ended = [member for member in members if not remaining & held.get(member.account_id, set())]
        TeamMember.objects.filter(pk__in=[member.pk for member in ended]).delete()
        left = sorted(member.account.account_id for member in ended)
        record("team.unmap", mapping.team.name, group=mapping.group, left=left[:MOST_NAMED], number=len(left), **detail)
    return len(ended)


def groups_held(accounts: Iterable[int]) -> dict[int, set[str]]:
    """The mapped groups that accounts had at their latest sign-in, by primary key. One query."""
    found: dict[int, set[str]] = {}
    for user, data in SocialAccount.objects.filter(user__in=list(accounts)).values_list("user", "extra_data"):
        found.setdefault(user, set()).update(data.get(_KEY) or [])
    return found
