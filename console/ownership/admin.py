"""Namespaces and holds in the administration."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.accounts.models import Account
from console.namespaces.models import Namespace, NamespaceHold
from console.ownership.services import create_namespace, transfer_namespace
from console.web.admin_base import AuditedAdmin
from console.web.admin_columns import bytes_of, number_of
from console.web.admin_related import OfRow, Related


class NamespaceForm(forms.ModelForm):  # type: ignore[type-arg]
    """Create a namespace, or transfer one to another account, with the same services as the pages."""

    transfer_to = forms.ModelChoiceField(
        Account.objects.filter(is_active=True),
        required=False,
        label=_("Transfer to"),
        widget=AutocompleteSelect(Namespace._meta.get_field("owner"), admin.site),
        help_text=_("Nobody can push or pull in the namespace until the former owner's tokens have expired."),
    )

    class Meta:
        model = Namespace
        fields = ("name", "owner")

    def clean(self) -> dict[str, Any]:
        """Call the service here, so that its validation errors are shown in the form."""
        data = super().clean() or {}
        if self.errors:
            return data
        if self.instance.pk is None:
            self.instance = create_namespace(data["owner"], data["name"])
        elif data.get("transfer_to") is not None:
            transfer_namespace(self.instance, data["transfer_to"])
        return data

    def _post_clean(self) -> None:
        """Do nothing: the service has written the row."""


@admin.register(Namespace)
class NamespaceAdmin(AuditedAdmin):
    form_is_recorded = True
    form = NamespaceForm
    list_display = ("name", "owner", "image_count", "storage", "created_at", "new_owner", "available_at")
    list_select_related = ("owner", "new_owner")
    search_fields = ("name", "owner__account_id", "owner__name")
    search_help_text = _("Search by name or owner")
    autocomplete_fields = ("owner",)
    list_filter = (("owner", OfRow),)
    related = (Related("images.image", "namespace", size="size"),)
    readonly_fields = ("created_at", "new_owner", "available_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Namespace]:
        found: QuerySet[Namespace] = super().get_queryset(request)
        return found.annotate(images_in_it=Count("images"), stored=Sum("images__size"))

    def audited_as(self, obj: Any) -> str:
        return str(obj.name)

    @admin.display(description=_("images"), ordering="images_in_it")
    def image_count(self, namespace: Any) -> str:
        return number_of(namespace.images_in_it)

    @admin.display(description=_("storage"), ordering="stored")
    def storage(self, namespace: Any) -> str:
        return bytes_of(int(namespace.stored or 0))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "name", "owner") if obj else self.readonly_fields

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "owner", *self.readonly_fields, "transfer_to") if obj else ("name", "owner")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Do nothing: the form's service has saved it."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(NamespaceHold)
class NamespaceHoldAdmin(AuditedAdmin):
    list_display = ("name", "last_owner", "until")
    list_select_related = ("last_owner",)
    search_fields = ("name",)
    search_help_text = _("Search by name")

    def audited_as(self, obj: NamespaceHold) -> str:
        return obj.name

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
