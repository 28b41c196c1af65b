"""Index checks (reconciles) and rejected events in the administration."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext

from console.registry.index.models import Reconcile, UnusableEvents
from console.web.admin_base import ReadOnlyAdmin


@admin.register(Reconcile)
class ReconcileAdmin(ReadOnlyAdmin):
    list_display = ("started_at", "ended_at", "state", "whole", "done", "total", "problem")
    list_filter = ("state", "whole")

    def heading(self, obj: Reconcile) -> str:
        return gettext("Index check of %s UTC") % f"{obj.started_at:%Y-%m-%d %H:%M}"


@admin.register(UnusableEvents)
class UnusableEventsAdmin(ReadOnlyAdmin):
    list_display = ("day", "reason", "count")
    list_filter = ("reason",)
    ordering = ("-day", "reason")

    def heading(self, obj: UnusableEvents) -> str:
        return gettext("Rejected events of %s") % obj.day
