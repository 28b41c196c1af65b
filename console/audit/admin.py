from django.contrib import admin
from django.http import HttpRequest

from console.audit.models import AuditEvent


@admin.register(AuditEvent)
class AuditEventAdmin(admin.ModelAdmin):
    list_display = ("at", "actor", "action", "target", "address")
    list_filter = ("action", "at")
    search_fields = ("actor", "target", "action")
    date_hierarchy = "at"
    readonly_fields = ("at", "actor", "action", "target", "detail", "address")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False
