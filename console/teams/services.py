"""Create, change and delete teams, and decide who is in them. The last manager stays.

Every change locks the team first, and checks the right to do it after that: two managers who remove each other at once
are served one after the other, and the second is no manager any more.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from console.access import quotas
from console.access.roles import Role
from console.accounts.models import Account
from console.audit.services import MOST_NAMED, record
from console.database.conflicts import insert, lock_value
from console.membership.models import Grant, Team, TeamGroup, TeamMember

_SHORTEST_NAME = 2
_HAND, _GROUP = TeamMember.Source.HAND, TeamMember.Source.GROUP


def refuse_team(account: Account) -> str:
    """Error message if the account may not create one more team; empty if it may. One query.

    A team counts for the one who has been in it longest of its managers: nobody uses up the limit of somebody else by
    making them a manager.
    """
    earlier = TeamMember.objects.filter(team=OuterRef("team"), is_manager=True, pk__lt=OuterRef("pk"))
    own = TeamMember.objects.filter(~Exists(earlier), account=account, is_manager=True)
    return quotas.refuse_team(own.count())


def create_team(manager: Account, name: str, description: str = "", **detail: Any) -> Team:
    """Create a team with its first manager, who is a member as well.

    :param detail: further facts for the audit event.
    :raises ValidationError: keyed ``name`` (``code="taken"`` or a broken rule of names) or ``description``; without a
        key when the account may not have one (more).
    """
    if not manager.may("team.create"):
        raise ValidationError(_("Activate the service first."))
    team = Team(name=name.strip(), description=description.strip())
    _check(team)
    with transaction.atomic():
        # One creator at a time for one account, or two at once could exceed its limit together.
        Account.objects.select_for_update(no_key=True).get(pk=manager.pk)
        if refusal := refuse_team(manager):
            raise ValidationError(refusal, code="quota")
        lock_value("team.name", team.name)
        if not insert(team):
            raise _taken(team.name)
        TeamMember.objects.create(team=team, account=manager, is_manager=True)
        record("team.create", team.name, manager=manager.account_id, **detail)
    return team


def change_team(actor: Account | None, team: Team, name: str, description: str, **detail: Any) -> bool:
    """Rename and describe a team. Its roles and members stay.

    :param actor: ``None`` for an administrator, whose right the caller has checked; so everywhere here.
    :return: whether something was changed.
    :raises ValidationError: when the actor may not; keyed ``name`` or ``description``.
    """
    with transaction.atomic():
        locked = _lock(actor, team)
        old = {"name": locked.name, "description": locked.description}
        new = {"name": name.strip(), "description": description.strip()}
        changes = {field: [old[field], new[field]] for field in old if old[field] != new[field]}
        if not changes:
            return False
        locked.name, locked.description = new["name"], new["description"]
        _check(locked)
        if "name" in changes:
            lock_value("team.name", locked.name)
            if Team.objects.filter(name=locked.name).exists():
                raise _taken(locked.name)
        locked.save(update_fields=["name", "description"])
        record("team.change", locked.name, changes=changes, **detail)
    team.name, team.description = locked.name, locked.description
    return True


def delete_team(actor: Account | None, team: Team, **detail: Any) -> None:
    """Delete a team: its members lose the roles that it has, at the next token request.

    :raises ValidationError: when the actor may not, or the team no longer exists.
    """
    with transaction.atomic():
        # Groups before the team, as ``console.teams.groups`` does; then nobody is added while it is deleted.
        list(TeamGroup.objects.select_for_update().filter(team=team).order_by("pk"))
        locked = _lock(actor, team, whole=True)
        grants = list(Grant.objects.filter(team=locked).select_related("namespace", "image__namespace"))
        for grant in grants:
            place = grant.image.full_name if grant.image is not None else grant.namespace.name
            role = Role(grant.role).name.lower()
            record("member.remove", place, member=f"team {locked.name}", role=role, deleted="team", **detail)
        places = sorted({grant.namespace.name for grant in grants})
        record("team.delete", locked.name, namespaces=places[:MOST_NAMED], number=len(places), **detail)
        locked.delete()


def add_member(actor: Account | None, team: Team, account: Account, *, manager: bool = False, **detail: Any) -> None:
    """Add an account to a team, without asking it: it sees the team on its page, and can leave.

    :raises ValidationError: when the actor may not; keyed ``account_id``.
    """
    with transaction.atomic():
        locked = _lock(actor, team)
        if account.is_service:
            raise ValidationError({"account_id": _("A service account cannot be in a team. Give it a role instead.")})
        if not account.is_active:
            raise ValidationError({"account_id": _("This account is deactivated.")})
        if not insert(TeamMember(team=locked, account=account, source=_HAND, is_manager=manager)):
            raise ValidationError({"account_id": _("%s is already in this team.") % account.name})
        record("team.add", locked.name, member=account.account_id, manager=manager, **detail)


def set_manager(actor: Account | None, team: Team, account: Account, manager: bool, **detail: Any) -> bool:
    """Make a member a manager of the team, or no manager any more.

    :return: whether something was changed.
    :raises ValidationError: when the actor may not, the account was not added by a person, or it is the last manager.
    """
    with transaction.atomic():
        locked = _lock(actor, team)
        member = TeamMember.objects.filter(team=locked, account=account, source=_HAND).first()
        if member is None:
            raise ValidationError(refuse_by_group() if _is_by_group(locked, account) else _gone())
        if member.is_manager == manager:
            return False
        if not manager:
            _require_other_manager(locked, account)
        member.is_manager = manager
        member.save(update_fields=["is_manager"])
        record("team.manager", locked.name, member=account.account_id, manager=manager, **detail)
    return True


def remove_member(actor: Account | None, team: Team, account: Account, **detail: Any) -> bool:
    """Remove an account that was added by a person: its roles by this team end at the next token request. Idempotent.

    :return: whether this call removed it.
    :raises ValidationError: when the actor may not, the account is there by a group alone, or is the last manager.
    """
    with transaction.atomic():
        locked = _lock(actor, team)
        removed = _end(locked, account)
        if removed:
            record("team.remove", locked.name, member=account.account_id, **detail)
    return removed


def leave(account: Account, team: Team) -> bool:
    """Leave a team. Idempotent.

    :return: whether this call did it.
    :raises ValidationError: when the account is in the team by a group alone, or is the last manager.
    """
    with transaction.atomic():
        locked = _lock(None, team)
        left = _end(locked, account)
        if left:
            record("team.leave", locked.name, member=account.account_id)
    return left


def refuse_by_group() -> str:
    """Why somebody who is in a team by a group alone cannot be changed here."""
    return _("A group of the identity provider puts this member into the team. It can be changed there alone.")


def refuse_leaving(team: Team, account: Account) -> str:
    """Error message if an account cannot leave a team; empty if it can."""
    rows = dict(TeamMember.objects.filter(team=team, account=account).values_list("source", "is_manager"))
    if _HAND not in rows:
        return _("A group of the identity provider puts you into this team. You leave it when you leave the group.")
    return _last_manager() if rows[_HAND] and not _has_other_manager(team, account) else ""


def _end(team: Team, account: Account) -> bool:
    """End the membership by hand."""
    member = TeamMember.objects.filter(team=team, account=account, source=_HAND).first()
    if member is None:
        if _is_by_group(team, account):
            raise ValidationError(refuse_by_group())
        return False
    if member.is_manager:
        _require_other_manager(team, account)
    member.delete()
    return True


def _lock(actor: Account | None, team: Team, *, whole: bool = False) -> Team:
    """Lock the team's row, so that changes are made one after the other; then check that the actor may make one.

    :param whole: also against roles and members that are being added, to delete it.
    """
    locked = Team.objects.select_for_update(no_key=not whole).filter(pk=team.pk).first()
    if locked is None:
        raise ValidationError(_("The team no longer exists."))
    if actor is not None and not actor.may("team.manage", locked):
        raise ValidationError(_("Only a manager may change the team."), code="forbidden")
    return locked


def _check(team: Team) -> None:
    """Check the rules of names and descriptions."""
    team.clean_fields()
    if len(team.name) < _SHORTEST_NAME:
        raise ValidationError({"name": _("The name must have 2 to 30 characters.")})


def _is_by_group(team: Team, account: Account) -> bool:
    return TeamMember.objects.filter(team=team, account=account, source=_GROUP).exists()


def _has_other_manager(team: Team, account: Account) -> bool:
    others = TeamMember.objects.filter(team=team, is_manager=True, account__is_active=True)
    return others.exclude(account=account).exists()


def _require_other_manager(team: Team, account: Account) -> None:
    # A deactivated account manages nothing: without it there are as many managers as before.
    if account.is_active and not _has_other_manager(team, account):
        raise ValidationError(_last_manager(), code="last-manager")


def _last_manager() -> str:
    return _("The last manager stays. Make somebody else a manager first, or delete the team.")


def _gone() -> str:
    return _("This member has already been removed.")


def _taken(name: str) -> ValidationError:
    sentence = _("The name “%s” is already in use by another team. Try another name.") % name
    return ValidationError({"name": ValidationError(sentence, code="taken")})
