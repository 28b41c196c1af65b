"""Roles and reasons for access, in words for pages."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from console.access.roles import Role
from console.membership.models import RoleName
from console.sharing.reasons import Reason, Source

# What each role adds to the one before it. A test compares the roles with those of ``console.access.roles``.
ROLE_HELP: dict[Role, Promise] = {
    Role.READER: gettext_lazy("see and pull"),
    Role.WRITER: gettext_lazy("also push"),
    Role.MAINTAINER: gettext_lazy("also delete, describe and change the visibility"),
    Role.OWNER: gettext_lazy("also manage members, hand over and delete the namespace"),
}


def why(reason: Reason) -> str:
    """Where a role comes from, as it stands beside the role: ``on the whole namespace, through team payments``."""
    if reason.source is Source.OWNER:
        return _("owner of the namespace")
    if reason.team is None:
        return _("on this image") if reason.source is Source.IMAGE else _("on the whole namespace")
    if reason.source is Source.IMAGE:
        return _("on this image, through team %s") % reason.team.name
    return _("on the whole namespace, through team %s") % reason.team.name


def role_in_words(reasons: Sequence[Reason]) -> str:
    """An account's own role and why it has it: ``Your role: Writer, through team payments``; empty without one.

    :param reasons: all reasons of the account, the highest role first.
    """
    if not reasons:
        return ""
    first = reasons[0]
    label = RoleName(first.role).label
    if first.team is not None:
        return _("Your role: %(role)s, through team %(team)s") % {"role": label, "team": first.team.name}
    if first.source is Source.IMAGE:
        return _("Your role: %s, on this image") % label
    return _("Your role: %s") % label
