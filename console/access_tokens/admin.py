"""Access tokens in the administration."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib import admin, messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from console.access.sign_in import may_administer
from console.access_tokens import services as access_tokens
from console.accounts.models import AccessToken
from console.repositories.models import Image
from console.web.admin_base import AuditedAdmin
from console.web.admin_columns import GivenFilter
from console.web.admin_questions import asks
from console.web.admin_related import OfRow
from console.web.templatetags.console import number


def _revoking(tokens: QuerySet[AccessToken]) -> str:
    count = tokens.count()
    text = ngettext(
        "%(count)s access token stops at once. It cannot be used again.",
        "%(count)s access tokens stop at once. They cannot be used again.",
        count,
    )
    return text % {"count": number(count)}


@admin.register(AccessToken)
class AccessTokenAdmin(AuditedAdmin):
    actions_are_recorded = True
    list_display = (
        "name",
        "account",
        "access",
        "opened",
        "created_at",
        "expires_at",
        "last_used_at",
        "last_used_from",
        "revoked_at",
    )
    list_filter = (
        ("revoked_at", GivenFilter),
        "can_push",
        "can_delete",
        "can_manage",
        "all_namespaces",
        ("account", OfRow),
    )
    list_select_related = ("account",)
    search_fields = ("name", "account__account_id", "account__name", "account__credential__username")
    search_help_text = _("Search by token, account or user name")
    ordering = ("-created_at", "-pk")
    fields = readonly_fields = (*list_display, "hint")
    actions = ("revoke",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccessToken]:
        images = Image.objects.only("full_name").order_by("full_name")
        return super().get_queryset(request).prefetch_related("namespaces", Prefetch("images", images))

    def audited_as(self, obj: AccessToken) -> str:
        return f"{obj.account.account_id}/{obj.name}"

    @admin.display(description=_("access"), ordering="can_push")
    def access(self, token: AccessToken) -> str:
        return token.access

    @admin.display(description=_("for"), ordering="all_namespaces")
    def opened(self, token: AccessToken) -> str:
        if token.all_namespaces:
            return gettext("All")
        names = [namespace.name for namespace in token.namespaces.all()]
        return ", ".join([*names, *(image.full_name for image in token.images.all())]) or gettext("None left")

    def actions_of(self, request: HttpRequest, obj: AccessToken) -> Collection[str]:
        return super().actions_of(request, obj) if obj.revoked_at is None else ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Django offers actions only with the change permission; the form itself is read-only.
        if obj is not None and not may_administer(request.user.is_superuser, obj.account.is_superuser):
            return False
        return super().has_change_permission(request, obj)

    @admin.action(description=_("Revoke (ends their access at once)"), permissions=["change"])
    @asks(_("Revoke access tokens"), _("Revoke"), _revoking)
    def revoke(self, request: HttpRequest, queryset: QuerySet[AccessToken]) -> None:
        tokens = [token for token in queryset.select_related("account") if self.has_change_permission(request, token)]
        revoked = sum(access_tokens.revoke(token, by="admin") for token in tokens)
        messages.success(
            request,
            ngettext("Revoked %(count)d access token.", "Revoked %(count)d access tokens.", revoked)
            % {"count": revoked},
        )
