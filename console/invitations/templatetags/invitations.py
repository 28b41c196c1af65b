"""Template tags of invitations, for pages of other rooms."""

from __future__ import annotations

from typing import Any

from django import template

from console.invitations.services import MOST_PENDING
from console.membership.models import Invitation
from console.namespaces.models import Namespace
from console.repositories.models import Image

register = template.Library()


@register.inclusion_tag("invitations/_pending.html", takes_context=True)
def pending_invitations(context: Any, namespace: Namespace, image: Image | None = None) -> dict[str, Any]:
    """The list *Pending invitations* of a namespace and its images, or of one image; nothing for who may not invite."""
    account = context["request"].user
    verb, target = ("image.manage_members", image) if image else ("namespace.manage_members", namespace)
    if not account.may(verb, target):
        return {"rows": []}
    rows = Invitation.objects.pending().filter(namespace=namespace)
    if image is not None:
        rows = rows.filter(image=image)
    return {"rows": rows.select_related("account", "image", "namespace", "invited_by")[:MOST_PENDING]}
