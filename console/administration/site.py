"""The administration's site: its navigation, its front page, and the state of the parts that are asked for."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from console.administration.health import Health
from console.administration.navigation import grouped
from console.administration.overview import Overview
from console.login import administration

# Of this process, which is loaded once when the console starts.
_STARTED = timezone.now()


class Administration(administration.Administration):
    """The site, with the product's navigation and front page."""

    empty_value_display = "–"

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """What the account may see, in the groups of ``navigation``."""
        found = super().get_app_list(request, app_label)
        home = reverse("admin:index", current_app=self.name)
        return grouped((model for application in found for model in application["models"]), home)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The front page: numbers, work that failed, events of the day, what needs attention."""
        overview = Overview(self.get_app_list(request), request.user, timezone.now())
        context = {"overview": overview, "started": _STARTED, **(extra_context or {})}
        return super().index(request, context)

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """The lists of a group, under the group's name."""
        groups = self.get_app_list(request, app_label)
        title = {"title": groups[0]["name"]} if groups else {}
        return super().app_index(request, app_label, {**title, **(extra_context or {})})

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Django's addresses, and that of the state of the parts."""
        health = self.admin_view(require_safe(self.health))
        return [path("health/", health, name="health"), *super().get_urls()]

    def health(self, request: HttpRequest) -> HttpResponse:
        """Whether the registry answers and can be written to: asked by the front page afterwards."""
        request.current_app = self.name
        context = {"health": Health.now()}
        if request.htmx:  # type: ignore[attr-defined]
            return TemplateResponse(request, "admin/_health.html", context)
        return TemplateResponse(
            request, "admin/health.html", {**self.each_context(request), **context, "title": _("Health")}
        )
