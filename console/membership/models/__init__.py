"""Grants of roles, teams, service accounts, invitations, and offers to hand over a namespace."""

from console.membership.models.grant import Grant, GrantQuerySet, RoleName
from console.membership.models.invitation import HandOver, Invitation
from console.membership.models.service_account import ServiceAccount
from console.membership.models.team import Team, TeamGroup, TeamMember, validate_team_name

__all__ = [
    "Grant",
    "GrantQuerySet",
    "HandOver",
    "Invitation",
    "RoleName",
    "ServiceAccount",
    "Team",
    "TeamGroup",
    "TeamMember",
    "validate_team_name",
]
