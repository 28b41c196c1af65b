"""The reader's own role, for the heads of pages."""

from __future__ import annotations

from typing import Any

from django import template

from console.members.own_role import OwnRole, own_role
from console.namespaces.models import Namespace

register = template.Library()


@register.simple_tag(takes_context=True)
def reader_role(context: Any, namespace: Namespace) -> OwnRole:
    """The reader's own role on a namespace: as the view knows it, or read with one query."""
    known: OwnRole | None = context.get("own")
    return known if known is not None else own_role(context["request"].user, namespace)
