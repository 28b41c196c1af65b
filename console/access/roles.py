"""Roles: which verbs a member of a namespace, or of one image, may use.

Each role includes the one before. A role on an image adds to the role on its namespace and never takes away. The
verbs of pages are here, and the actions of the registry; ``rules`` and ``grants`` decide with both.
"""

from __future__ import annotations

import enum


class Role(enum.IntEnum):
    """A role on a namespace or an image. The numbers are stored; a higher role includes the lower ones."""

    READER = 1
    WRITER = 2
    MAINTAINER = 3
    OWNER = 4


_ADDED_VERBS = {
    Role.READER: frozenset({"namespace.view", "image.view"}),
    Role.WRITER: frozenset({"image.create", "image.push"}),
    Role.MAINTAINER: frozenset({"image.edit", "image.delete", "image.resolve_failure"}),
    Role.OWNER: frozenset(
        {"namespace.manage_members", "namespace.view_activity", "namespace.transfer", "namespace.delete"}
        | {"image.manage_members"}
    ),
}
_ADDED_ACTIONS = {
    Role.READER: frozenset({"pull"}),
    Role.WRITER: frozenset({"push"}),
    Role.MAINTAINER: frozenset({"delete"}),
    Role.OWNER: frozenset[str](),
}

# What each role may do: verbs of ``console.access.rules.may``, and actions of a registry token.
VERBS = {role: frozenset[str]().union(*(_ADDED_VERBS[lower] for lower in Role if lower <= role)) for role in Role}
ACTIONS = {role: frozenset[str]().union(*(_ADDED_ACTIONS[lower] for lower in Role if lower <= role)) for role in Role}


def allows(role: Role | None, verb: str) -> bool:
    """Whether a role includes a verb; ``None`` is no role."""
    return role is not None and verb in VERBS[role]


def least_role(verb: str) -> Role:
    """The lowest role that includes a verb.

    :raises ValueError: for an unknown verb, so that a misspelling never grants anything.
    """
    for role in Role:
        if verb in _ADDED_VERBS[role]:
            return role
    raise ValueError(f"no role has {verb!r}")


def least_role_for_action(action: str) -> Role:
    """The lowest role that includes an action of the registry.

    :raises ValueError: for an unknown action.
    """
    for role in Role:
        if action in _ADDED_ACTIONS[role]:
            return role
    raise ValueError(f"no role has {action!r}")
