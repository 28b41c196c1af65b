"""Index checks (reconciles) and rejected events in the administration."""

from __future__ import annotations

from django.contrib import admin

from console.registry.index.models import Reconcile, UnusableEvents
from console.web.admin_base import ReadOnlyAdmin


@admin.register(Reconcile)
class ReconcileAdmin(ReadOnlyAdmin):
    list_display = ("started_at", "ended_at", "state", "whole", "done", "total", "problem")
    list_filter = ("state", "whole")


@admin.register(UnusableEvents)
class UnusableEventsAdmin(ReadOnlyAdmin):
    list_display = ("day", "reason", "count")
    list_filter = ("reason",)
    ordering = ("-day", "reason")
