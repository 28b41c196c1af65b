"""Namespaces and holds in the administration."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import QuerySet, Sum
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.accounts.models import Account
from console.namespaces.models import Namespace, NamespaceHold
from console.ownership.services import create_namespace, transfer_namespace
from console.web.admin_base import AuditedAdmin
from console.web.admin_columns import bytes_of, number_of
from console.web.admin_related import OfRow, Related


class AccountSelect(AutocompleteSelect):
    """A list of accounts that is searched; without script, a field for the Account ID."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The list, and the field."""
        typed = format_html(
            '<noscript><input type="text" name="{}" inputmode="numeric" autocomplete="off" aria-label="{}"></noscript>',
            name,
            _("Account ID"),
        )
        return super().render(name, value, attrs, renderer) + typed


class AccountField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """An account, chosen, or typed as its Account ID."""

    def to_python(self, value: Any) -> Any:
        """The account.

        :raises ValidationError: when there is none.
        """
        typed = Account.objects.filter(account_id=value).first() if isinstance(value, str) and value else None
        return super().to_python(typed.pk if typed else value)


class NamespaceForm(forms.ModelForm):  # type: ignore[type-arg]
    """Create a namespace, or transfer one to another account, with the same services as the pages."""

    transfer_to = AccountField(
        Account.objects.filter(is_active=True, is_service=False),
        required=False,
        label=_("Transfer to"),
        widget=AccountSelect(Namespace._meta.get_field("owner"), admin.site),
        help_text=_("Nobody can push or pull in the namespace until the former owner's tokens have expired."),
    )

    class Meta:
        model = Namespace
        fields = ("name", "owner")

    def clean(self) -> dict[str, Any]:
        """Call the service here, so that its validation errors are shown in the form.

        A transfer is asked about first, and carried out when that is confirmed.
        """
        data = super().clean() or {}
        if self.errors:
            return data
        if self.instance.pk is None:
            self.instance = create_namespace(data["owner"], data["name"])
        elif data.get("transfer_to") is not None and "post" in self.data:
            transfer_namespace(self.instance, data["transfer_to"])
        return data

    def _post_clean(self) -> None:
        """Do nothing: the service has written the row."""


@admin.register(Namespace)
class NamespaceAdmin(AuditedAdmin):
    form_is_recorded = True
    form = NamespaceForm
    list_display = ("name", "owner", "images", "storage", "created_at", "new_owner", "available_at")
    list_select_related = ("owner", "new_owner")
    search_fields = ("name", "owner__account_id", "owner__name")
    search_help_text = _("Search by name or owner")
    autocomplete_fields = ("owner",)
    list_filter = (("owner", OfRow),)
    related = (Related("images.image", "namespace", size="size"),)
    readonly_fields = ("created_at", "new_owner", "available_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Namespace]:
        found: QuerySet[Namespace] = super().get_queryset(request)
        return found.annotate(stored=Sum("images__size"))

    def audited_as(self, obj: Any) -> str:
        return str(obj.name)

    @admin.display(description=_("images"), ordering="image_count")
    def images(self, namespace: Namespace) -> str:
        return number_of(namespace.image_count)

    @admin.display(description=_("storage"), ordering="stored")
    def storage(self, namespace: Any) -> str:
        return bytes_of(int(namespace.stored or 0))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "name", "owner") if obj else self.readonly_fields

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "owner", *self.readonly_fields, "transfer_to") if obj else ("name", "owner")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """What is known of a namespace, and its transfer; or the form of a new one."""
        if obj is None:
            return super().get_fieldsets(request, obj)
        facts = (None, {"fields": ("name", "owner", *self.readonly_fields)})
        transfer = (_("Transfer"), {"fields": ("transfer_to",)})
        return [facts, transfer] if self.has_change_permission(request, obj) else [facts]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *rest: Any, **options: Any) -> Any:
        """The page of a namespace, where nothing but its transfer can be done, or the form of a new one."""
        words = {"save_words": _("Transfer…")} if context.get("original") else {}
        return super().render_change_form(request, {**context, **words}, *rest, **options)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """The page of a namespace; before a transfer, what it comes to."""
        namespace = self.get_object(request, unquote(object_id)) if request.method == "POST" else None
        if namespace is not None and self.has_change_permission(request, namespace) and "post" not in request.POST:
            form = self.get_form(request, namespace, change=True)(request.POST, instance=namespace)
            if form.is_valid() and (new_owner := form.cleaned_data.get("transfer_to")):
                return self._question(request, namespace, new_owner)
        return super().change_view(request, object_id, form_url, extra_context)

    def _question(self, request: HttpRequest, namespace: Any, new_owner: Account) -> TemplateResponse:
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Transfer namespace"),
            "subtitle": "",
            "row": namespace,
            "heading": self.heading(namespace),
            "new_owner": new_owner,
        }
        return TemplateResponse(request, "admin/namespaces/namespace/transfer.html", context)

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
