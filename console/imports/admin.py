"""Imports in the administration."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from console.imports.models import Transfer
from console.web.admin_base import ReadOnlyAdmin
from console.web.admin_columns import text
from console.web.admin_related import OfRow


@admin.register(Transfer)
class TransferAdmin(ReadOnlyAdmin):
    list_display = (
        "copied_from",
        "image",
        "tag",
        "state",
        "bytes_done",
        "bytes_total",
        "problem",
        "requested_by",
        "requested_at",
    )
    sizes = ("bytes_done", "bytes_total")
    list_filter = ("state", ("image", OfRow))
    list_select_related = ("image__namespace",)
    search_fields = ("image__name", "image__namespace__name", "repository", "=requested_by")
    search_help_text = _("Search by image, namespace, source or Account ID")

    def audited_as(self, obj: Transfer) -> str:
        return f"{obj.image.repository}:{obj.tag}"

    def heading(self, obj: Transfer) -> str:
        return gettext("Import to %(image)s:%(tag)s") % {"image": obj.image, "tag": obj.tag}

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """All fields, the platforms in words."""
        fields = super().get_fields(request, obj)
        return ["platforms_shown" if name == "platforms" else name for name in fields]

    @admin.display(description=_("platforms"))
    def platforms_shown(self, transfer: Transfer) -> str:
        return ", ".join(transfer.platforms) or gettext("All")

    @admin.display(description=_("from"))
    def copied_from(self, transfer: Transfer) -> str:
        return text(transfer.origin)
