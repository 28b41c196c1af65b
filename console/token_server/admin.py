from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from console.access.sign_in import may_administer
from console.token_server import logins
from console.token_server.models import Login
from console.web.admin_base import AuditedAdmin
from console.web.admin_questions import asks
from console.web.admin_related import OfRow
from console.web.templatetags.console import number


def _revoking(found: QuerySet[Login]) -> str:
    count = found.count()
    text = ngettext(
        "%(count)s Docker login ends at once. Its client has to log in again.",
        "%(count)s Docker logins end at once. Their clients have to log in again.",
        count,
    )
    return text % {"count": number(count)}


@admin.register(Login)
class LoginAdmin(AuditedAdmin):
    actions_are_recorded = True
    list_display = ("__str__", "account", "created_at", "created_from", "last_used_at", "last_used_from")
    list_select_related = ("account",)
    list_filter = (("account", OfRow),)
    search_fields = ("client", "account__account_id", "account__name", "account__credential__username")
    search_help_text = _("Search by client, account or user name")
    ordering = ("-created_at", "pk")
    fields = readonly_fields = list_display
    actions = ("revoke",)

    def audited_as(self, obj: Login) -> str:
        return f"{obj.account.account_id}/{obj}"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Login | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Login | None = None) -> bool:
        # Django offers actions only to those who may change; the form itself stays read-only.
        if obj is not None and not may_administer(request.user.is_superuser, obj.account.is_superuser):
            return False
        return super().has_change_permission(request, obj)

    @admin.action(description=_("Revoke (ends their access at once)"), permissions=["change"])
    @asks(_("Revoke Docker logins"), _("Revoke"), _revoking)
    def revoke(self, request: HttpRequest, queryset: QuerySet[Login]) -> None:
        found = [login for login in queryset.select_related("account") if self.has_change_permission(request, login)]
        revoked = sum(logins.revoke(login, by="admin") for login in found)
        messages.success(
            request, ngettext("Revoked %(count)d login.", "Revoked %(count)d logins.", revoked) % {"count": revoked}
        )
