"""Background jobs in the administration."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from procrastinate.contrib.django.admin import ProcrastinateJobAdmin
from procrastinate.contrib.django.models import ProcrastinateJob

from console.jobs.queue import INDEX_QUEUE, TRANSFER_QUEUE, WORK_QUEUE, repository_of_lock
from console.operations.task_words import task_name
from console.web.admin_base import AuditedAdmin
from console.web.admin_columns import text
from console.web.templatetags.console import moment

_MOST_SHOWN = 2000
_MOST_EVENTS = 100

admin.site.unregister(ProcrastinateJob)


# For each state of a job: what administrators read, and the colour of its badge.
_STATES = {
    "todo": (_("Waiting"), ""),
    "doing": (_("Running"), "public"),
    "failed": (_("Failed"), "bad"),
    "cancelled": (_("Cancelled"), "warn"),
    "aborted": (_("Aborted"), "warn"),
    "succeeded": (_("Succeeded"), "public"),
}
_EVENTS = {
    "deferred": _("Queued"),
    "started": _("Started"),
    "deferred_for_retry": _("Queued for another attempt"),
    "failed": _("Failed"),
    "succeeded": _("Succeeded"),
    "cancelled": _("Cancelled"),
    "abort_requested": _("Abort requested"),
    "aborted": _("Aborted"),
    "scheduled": _("Scheduled"),
}


# What can be done with a job in each state.
_ACTIONS = {"todo": ("cancel",), "doing": ("abort",), "failed": ("retry",)}
_QUEUES = {INDEX_QUEUE: _("Index"), WORK_QUEUE: _("Deletions and copies"), TRANSFER_QUEUE: _("Imports")}


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(state, name) for state, (name, _badge) in _STATES.items() if state != "succeeded"]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(status=self.value()) if self.value() in _STATES else queryset


class QueueFilter(admin.SimpleListFilter):
    title = _("queue")
    parameter_name = "queue_name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(_QUEUES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(queue_name=self.value()) if self.value() else queryset


@admin.register(ProcrastinateJob)
class JobAdmin(AuditedAdmin, ProcrastinateJobAdmin):
    """Procrastinate's admin of jobs, without inline styles, which the Content-Security-Policy does not allow."""

    recorded_as = "job"
    list_display = ["job", "state", "subject", "attempts", "last_event", "next_run"]
    list_display_links = ("job",)
    list_filter = [StateFilter, QueueFilter]
    search_fields = ("task_name", "lock")
    search_help_text = _("Search by task name or repository")
    ordering = ("-id",)
    sortable_by = ("job", "state", "attempts", "next_run")
    inlines = []
    show_full_result_count = False
    fields = [
        "job", "task_name", "state", "subject", "queue", "attempts", "priority", "next_run", "history",
        "pretty_args",
    ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [str(name) for name in self.fields]

    def heading(self, obj: Any) -> str:
        return f"{task_name(obj.task_name)} ({obj.pk})"

    def actions_of(self, request: HttpRequest, obj: ProcrastinateJob) -> Collection[str]:
        return _ACTIONS.get(obj.status, ())

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        # The library offers the actions to all users with the view permission.
        allowed = request.user.has_perm("procrastinate.change_procrastinatejob")
        return super().get_actions(request) if allowed else {}

    @admin.action(description=_("Retry job (failed jobs)"))
    def retry(self, request: HttpRequest, queryset: QuerySet[ProcrastinateJob]) -> None:
        # The library's action also retries running jobs, which would then run twice at the same time.
        failed = queryset.filter(status="failed")
        number = failed.count()
        super().retry(request, failed)
        said = ngettext("Retrying %(number)d job.", "Retrying %(number)d jobs.", number)
        messages.success(request, said % {"number": number})

    @admin.action(description=_("Cancel job (waiting jobs)"))
    def cancel(self, request: HttpRequest, queryset: QuerySet[ProcrastinateJob]) -> None:
        super().cancel(request, queryset)

    @admin.action(description=_("Abort job (waiting and running jobs)"))
    def abort(self, request: HttpRequest, queryset: QuerySet[ProcrastinateJob]) -> None:
        super().abort(request, queryset)

    actions = ["retry", "cancel", "abort"]

    @admin.display(description=_("queue"), ordering="queue_name")
    def queue(self, job: ProcrastinateJob) -> str:
        return str(_QUEUES.get(job.queue_name, job.queue_name))

    @admin.display(description=_("job"), ordering="task_name")
    def job(self, job: ProcrastinateJob) -> str:
        return task_name(job.task_name)

    @admin.display(description=_("state"), ordering="status")
    def state(self, job: ProcrastinateJob) -> str:
        name, colour = _STATES.get(job.status, (job.status, ""))
        return format_html('<span class="badge {}">{}</span>', colour, name)

    @admin.display(description=_("image"))
    def subject(self, job: ProcrastinateJob) -> str:
        """The repository whose lock the job takes, where it is one's."""
        return text(repository_of_lock(job.lock or "") or "–")

    @admin.display(description=_("last event"))
    def last_event(self, job: Any) -> str:
        event = next(iter(job.procrastinateevent_set.all()), None)
        return format_html("{} {}", _EVENTS.get(event.type, event.type), moment(event.at)) if event else "–"

    @admin.display(description=_("scheduled"), ordering="scheduled_at")
    def next_run(self, job: ProcrastinateJob) -> str:
        return moment(job.scheduled_at)

    @admin.display(description=_("history"))
    def history(self, job: Any) -> str:
        events = list(job.procrastinateevent_set.all()[:_MOST_EVENTS])
        rows = format_html_join(
            "", "<li>{} {}</li>", ((moment(event.at), _EVENTS.get(event.type, event.type)) for event in events)
        )
        return format_html('<ul class="lines">{}</ul>', rows) if events else "–"

    @admin.display(description=_("arguments"))
    def pretty_args(self, instance: ProcrastinateJob) -> str:
        shown = json.dumps(instance.args, indent=2 if len(instance.args) > 1 else None)
        return format_html("<pre>{}</pre>", shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}…")
