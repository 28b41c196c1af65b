"""Official images and their catalogue in the administration."""

from __future__ import annotations

from django.contrib import admin

from console.official_images.models import Catalogue, OfficialImage
from console.web.admin_base import ReadOnlyAdmin


@admin.register(Catalogue)
class CatalogueAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "refreshed_at", "tried_at", "problem", "failures", "retry_at")


@admin.register(OfficialImage)
class OfficialImageAdmin(ReadOnlyAdmin):
    list_display = (
        "name", "stars", "pulls", "updated_at", "listed", "tags_total", "tags_known_at", "tags_problem", "star_count"
    )  # fmt: skip
    list_filter = ("listed", "tags_problem")
    search_fields = ("name",)
