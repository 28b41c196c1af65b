"""Invitations in the administration."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from console.invitations.services import revoke
from console.membership.models import Invitation
from console.ownership.admin import NamespaceAdmin
from console.web.admin_base import AuditedAdmin
from console.web.admin_questions import asks
from console.web.admin_related import OfRow, Related
from console.web.templatetags.console import number


def _taking_back(invitations: QuerySet[Invitation]) -> str:
    count = invitations.count()
    text = ngettext(
        "%(count)s invitation can’t be accepted any more.", "%(count)s invitations can’t be accepted any more.", count
    )
    return text % {"count": number(count)}


@admin.register(Invitation)
class InvitationAdmin(AuditedAdmin):
    actions_are_recorded = True
    list_display = ("invited", "place", "role", "state", "invited_by", "created_at", "expires_at", "accepted_by")
    list_filter = ("state", "role", ("namespace", OfRow), ("account", OfRow))
    list_select_related = ("namespace", "image", "account", "invited_by", "accepted_by")
    search_fields = ("namespace__name", "email", "account__account_id", "account__name", "invited_by__account_id")
    search_help_text = _("Search by namespace, e-mail or account")
    ordering = ("-created_at", "-pk")
    actions = ("take_back",)
    fields = readonly_fields = (*list_display, "grant_until", "ended_at")

    def audited_as(self, obj: Invitation) -> str:
        return obj.namespace.name

    @admin.display(description=_("who"))
    def invited(self, invitation: Invitation) -> str:
        if invitation.account is not None:
            return str(invitation.account)
        return invitation.email or gettext("Who has the link")

    @admin.display(description=_("to"), ordering="namespace__name")
    def place(self, invitation: Invitation) -> str:
        return invitation.image.full_name if invitation.image is not None else invitation.namespace.name

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def actions_of(self, request: HttpRequest, obj: Invitation) -> Collection[str]:
        return super().actions_of(request, obj) if obj.state == Invitation.State.PENDING else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description=_("Take back"), permissions=["change"])
    @asks(_("Take back invitations"), _("Take back"), _taking_back)
    def take_back(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        """Take back the invitations that are still pending."""
        pending = queryset.filter(state=Invitation.State.PENDING).select_related("namespace", "image")
        ended = 0
        for invitation in pending:
            with suppress(ValidationError):  # accepted in the meantime
                ended += revoke(None, invitation)
        text = ngettext("Took back %(count)s invitation.", "Took back %(count)s invitations.", ended)
        messages.success(request, text % {"count": number(ended)})


# The room of namespaces knows no invitations.
NamespaceAdmin.related = (  # type: ignore[assignment]
    *NamespaceAdmin.related,
    Related("membership.invitation", "namespace"),
)
