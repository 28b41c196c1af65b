"""Official images and their catalogue in the administration."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.official_images.models import Catalogue, OfficialImage, Problem
from console.web.admin_base import ReadOnlyAdmin

_PROBLEMS = {
    Problem.UNREACHABLE: _("Can’t reach Docker Hub"),
    Problem.BUSY: _("Rate limit"),
    Problem.BROKEN: _("Error"),
    Problem.REFUSED: _("Refused"),
    Problem.UNKNOWN: _("Gone"),
    Problem.UNEXPECTED: _("Unexpected response"),
}


class ProblemFilter(admin.SimpleListFilter):
    """Filters by the problem with the tags; the problems' own sentences are for people who wait for the tags."""

    title = _("problem with the tags")
    parameter_name = "tags_problem"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The problems in short."""
        return [(problem.value, words) for problem, words in _PROBLEMS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OfficialImage]) -> QuerySet[OfficialImage]:
        """Those with the problem chosen."""
        return queryset.filter(tags_problem=self.value()) if self.value() else queryset


@admin.register(Catalogue)
class CatalogueAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "refreshed_at", "tried_at", "problem", "failures", "retry_at")
    fields = ("refreshed_at", "tried_at", "asked_at", "problem", "failures", "retry_at")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The only row there is, instead of a list of it."""
        only = self.get_queryset(request).values_list("pk", flat=True).first()
        if only is None or request.method == "POST" or not self.has_view_permission(request):
            return super().changelist_view(request, extra_context)
        return self.change_view(request, str(only))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *rest: Any, **options: Any) -> Any:
        """The row's page, without a way back to a list."""
        return super().render_change_form(request, {**context, "only_row": True}, *rest, **options)


@admin.register(OfficialImage)
class OfficialImageAdmin(ReadOnlyAdmin):
    list_display = (
        "name", "stars", "pulls", "updated_at", "listed", "tags_total", "tags_known_at", "tags_problem", "star_count"
    )  # fmt: skip
    list_filter = ("listed", ProblemFilter)
    search_fields = ("name",)
    search_help_text = _("Search by name")
