"""Service accounts in the administration: read, and deactivated at their account."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from console.membership.models import RoleName, ServiceAccount
from console.service_accounts.rows import with_use
from console.web.admin_base import AuditedAdmin
from console.web.admin_columns import number_of
from console.web.admin_related import OfRow
from console.web.templatetags.console import breakable, moment


@admin.register(ServiceAccount)
class ServiceAccountAdmin(AuditedAdmin):
    list_display = ("user_name", "description", "namespace", "role", "tokens", "used", "created_by", "created_at")
    list_filter = (("namespace", OfRow),)
    search_fields = ("account__name", "description", "namespace__name")
    search_help_text = _("Search by user name, namespace or description")
    ordering = ("-created_at",)
    fields = readonly_fields = ("account", *list_display)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ServiceAccount]:
        return with_use(super().get_queryset(request), timezone.now())

    @admin.display(description=_("user name"), ordering="account__name")
    def user_name(self, service: ServiceAccount) -> str:
        return breakable(service.account.name)

    @admin.display(description=_("role"))
    def role(self, service: Any) -> str:
        return str(RoleName(service.role).label) if service.role else "–"

    @admin.display(description=_("access tokens"))
    def tokens(self, service: Any) -> str:
        return number_of(service.tokens or 0)

    @admin.display(description=_("last used"), ordering="last_used_at")
    def used(self, service: Any) -> str:
        return moment(service.last_used_at)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # made by the owners of its namespace

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # deactivated at its account
