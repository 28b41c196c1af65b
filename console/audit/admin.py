"""The audit log in the administration: list with search, details, CSV export."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from console.audit.export import lines
from console.audit.models import AuditEvent
from console.audit.search import FilterForm
from console.audit.services import record

# So many events are counted and can be paged through; older ones are found by time.
MOST_PAGED = 10_000


class FewPages(Paginator):  # type: ignore[type-arg]
    @cached_property
    def count(self) -> int:
        found: Any = self.object_list
        return int(found.order_by()[:MOST_PAGED].count())


class AuditLogChangeList(ChangeList):
    """The list, with its own filter form: Django's filters would read the whole table."""

    def __init__(self, request: HttpRequest, *arguments: Any, **options: Any) -> None:
        self.form = FilterForm({name: request.GET.get(name, "") for name in FilterForm.base_fields}, label_suffix="")
        super().__init__(request, *arguments, **options)
        self.title = gettext("Audit events")
        self.cut = self.result_count >= MOST_PAGED

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        rest: dict[str, Any] = super().get_filters_params(params)
        return {name: value for name, value in rest.items() if name not in FilterForm.base_fields}

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[AuditEvent]:
        # The list does not show the details, which may contain a thousand names.
        return self.form.find(super().get_queryset(request, exclude_parameters)).defer("detail")


@admin.register(AuditEvent)
class AuditEventAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("time", "actor", "action", "listed_target", "address")
    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = FewPages
    list_max_show_all = 0
    fields = readonly_fields = ("time", "actor", "action", "target", "address", "changes", "facts")

    @admin.display(description=_("time (UTC)"), ordering="at")
    def time(self, event: AuditEvent) -> str:
        return f"{event.at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description=_("target"), ordering="target")
    def listed_target(self, event: AuditEvent) -> SafeString:
        """The target, two lines of it: all of it on hover and on the event's page."""
        return format_html('<span class="cut" title="{0}">{0}</span>', event.target)

    @admin.display(description=_("changes"))
    def changes(self, event: AuditEvent) -> SafeString | str:
        changes = dict(event.detail.get("changes") or {})
        if "old" in event.detail or "new" in event.detail:
            changes[""] = (event.detail.get("old"), event.detail.get("new"))
        # Rows of earlier versions have other forms.
        rows = [(name, *pair) for name, pair in changes.items() if isinstance(pair, list | tuple) and len(pair) == 2]
        if not rows:
            return "–"
        body = format_html_join(
            "",
            "<tr><th>{}</th><td>{}</td><td>{}</td></tr>",
            ((_label(name), _shown(old), _shown(new)) for name, old, new in rows),
        )
        head = format_html("<tr><th></th><th>{}</th><th>{}</th></tr>", _("before"), _("after"))
        return format_html('<table class="audit-detail"><thead>{}</thead><tbody>{}</tbody></table>', head, body)

    @admin.display(description=_("details"))
    def facts(self, event: AuditEvent) -> SafeString | str:
        facts = {name: value for name, value in event.detail.items() if name not in {"changes", "old", "new"}}
        if not facts:
            return "–"
        rows = format_html_join(
            "", "<tr><th>{}</th><td>{}</td></tr>", ((_label(name), _shown(value)) for name, value in facts.items())
        )
        return format_html('<table class="audit-detail"><tbody>{}</tbody></table>', rows)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *rest: Any, **options: Any) -> Any:
        """The page of an event, with labels as on the other pages."""
        context["adminform"].form.label_suffix = ""
        return super().render_change_form(request, context, *rest, **options)

    def get_changelist(self, request: HttpRequest, **_rest: Any) -> type[ChangeList]:
        return AuditLogChangeList

    def get_urls(self) -> list[URLPattern]:
        export = require_POST(self.admin_site.admin_view(self.export))
        return [path("export/", export, name="audit_auditevent_export"), *super().get_urls()]

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """Export the filtered events as CSV; the export itself is recorded first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = FilterForm(request.POST)
        if not form.is_valid():
            return HttpResponse(_("The filter is not valid. Go back and correct it."), status=400)
        with transaction.atomic():
            now = timezone.now()
            record("audit.export", self.model._meta.verbose_name, filter=form.shown())
        found = form.find(self.get_queryset(request)).filter(at__lt=now)
        name = f"audit-{now:%Y%m%d-%H%M%S}.csv"
        return StreamingHttpResponse(
            lines(found),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"},
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


def _label(name: str) -> str:
    """The name of a detail or a field, for people: ``expires_at`` is "Expires at"."""
    return capfirst(name.replace("_", " "))


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return gettext("Yes") if value else gettext("No")
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{_label(name)}: {_shown(one)}" for name, one in value.items()) or "–"
    return str(value)
