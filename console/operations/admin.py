"""Background jobs in the administration."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django.admin import ProcrastinateJobAdmin
from procrastinate.contrib.django.models import ProcrastinateJob

from console.audit.admin_base import AuditedAdmin

_MOST_SHOWN = 2000

admin.site.unregister(ProcrastinateJob)


@admin.register(ProcrastinateJob)
class JobAdmin(AuditedAdmin, ProcrastinateJobAdmin):
    """Procrastinate's admin of jobs, without inline styles, which the Content-Security-Policy does not allow."""

    recorded_as = "job"

    class Media:
        css = {"all": ["admin/css/jobs.css"]}

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        # The library offers the actions to all users with the view permission.
        allowed = request.user.has_perm("procrastinate.change_procrastinatejob")
        return super().get_actions(request) if allowed else {}

    @admin.action(description=_("Retry Job (only failed jobs)"))
    def retry(self, request: HttpRequest, queryset: QuerySet[ProcrastinateJob]) -> None:
        # The library's action also retries running jobs, which would then run twice at the same time.
        super().retry(request, queryset.filter(status="failed"))

    actions = ["retry", "cancel", "abort"]

    @admin.display(description=_("Args"))
    def pretty_args(self, instance: ProcrastinateJob) -> str:
        text = json.dumps(instance.args, indent=2 if len(instance.args) > 1 else None)
        return format_html("<pre>{}</pre>", text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…")
