"""Which role an account has, by its own grants and those of its teams."""

from __future__ import annotations

from django.db.models import Max, Q

from console.access.roles import Role
from console.membership.models import Grant


def granted_role(account: int, namespace: int, image: int | None = None) -> Role | None:
    """The highest role that current grants give an account; one query. The namespace's own account needs none.

    :param account: the primary key.
    :param image: the primary key of an image of the namespace, whose own grants count as well.
    """
    grants = Grant.objects.held_by(account).filter(Q(image=None) | Q(image=image), namespace=namespace)
    role = grants.aggregate(role=Max("role"))["role"]
    return Role(role) if role is not None else None
