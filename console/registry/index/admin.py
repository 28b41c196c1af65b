"""Index checks (reconciles) and rejected events in the administration."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from console.accounts.models import Account
from console.registry.index.models import Reconcile, UnusableEvents
from console.web.admin_base import ReadOnlyAdmin
from console.web.admin_columns import link


@admin.register(Reconcile)
class ReconcileAdmin(ReadOnlyAdmin):
    list_display = ("started_at", "ended_at", "state", "whole", "done", "total", "problem")
    list_filter = ("state", "whole")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """All fields, with the account that takes over images, if one does."""
        fields = super().get_fields(request, obj)
        return ["new_owner" if name == "adopt_for" else name for name in fields]

    @admin.display(description=_("adopt for"))
    def new_owner(self, check: Reconcile) -> str:
        owner = Account.objects.filter(account_id=check.adopt_for).first() if check.adopt_for else None
        return link(owner) if owner else check.adopt_for or "–"

    def heading(self, obj: Reconcile) -> str:
        return gettext("Index check of %s UTC") % f"{obj.started_at:%Y-%m-%d %H:%M}"


@admin.register(UnusableEvents)
class UnusableEventsAdmin(ReadOnlyAdmin):
    list_display = ("day", "reason", "count")
    list_filter = ("reason",)
    ordering = ("-day", "reason")

    def heading(self, obj: UnusableEvents) -> str:
        return gettext("Rejected events of %s") % obj.day
