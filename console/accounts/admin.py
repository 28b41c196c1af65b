"""Accounts in the administration."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import AdminTextInputWidget
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import (
    AdminPasswordChangeForm,
    AdminUserCreationForm,
    ReadOnlyPasswordHashField,
    ReadOnlyPasswordHashWidget,
    UserChangeForm,
)
from django.contrib.auth.hashers import is_password_usable
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from console.access.sign_in import may_administer
from console.accounts.forms import FirstPasswordChecked
from console.accounts.models import Account
from console.accounts.services import change_registry_password, set_active
from console.web.admin_base import AuditedAdmin
from console.web.admin_columns import yes_no
from console.web.admin_questions import asks
from console.web.admin_related import Related
from console.web.templatetags.console import number

admin.site.unregister(Group)


# Another person's data: a browser would fill in the administrator's own.
_NOT_FILLED = {"autocomplete": "off"}
# As text: see ``EmailAddressField``.
_WIDGETS = {"name": AdminTextInputWidget(attrs=_NOT_FILLED), "email": AdminTextInputWidget(attrs=_NOT_FILLED)}


class _ConsolePassword(forms.BaseForm):
    """The fields of a new console password, in the product's words."""

    without_password = _("Without a password, the account signs in with single sign-on or a sign-in link.")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.label_suffix = ""
        if choice := self.fields.get("usable_password"):
            choice.label, choice.help_text = _("Sign-in with a password"), self.without_password
        self.fields["password1"].label = _("Console password")
        self.fields["password2"].label = _("Confirm password")
        self.fields["password2"].help_text = ""


class AccountCreationForm(_ConsolePassword, FirstPasswordChecked, AdminUserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = Account
        fields = ("name", "email")
        widgets = _WIDGETS


class AccountPasswordForm(_ConsolePassword, FirstPasswordChecked, AdminPasswordChangeForm):  # type: ignore[type-arg]
    """Set the password of another account."""

    without_password = _(
        "Without a password, the account signs in with single sign-on or a sign-in link. "
        "Its present password is deleted."
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.order_fields(["usable_password"])


# The defaults, which count where a field is left empty.
_QUOTAS = {
    "namespace_quota": settings.DEFAULT_NAMESPACE_QUOTA,
    "image_quota": settings.DEFAULT_IMAGE_QUOTA,
    "tag_quota": settings.DEFAULT_TAG_QUOTA,
}


class PasswordState(ReadOnlyPasswordHashWidget):
    """Whether there is a console password; nothing of its hash."""

    def get_context(self, name: str, value: str | None, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        usable = bool(value) and is_password_usable(value)
        state = _("Set") if usable else _("None: the account signs in otherwise")
        button = _("Change password") if usable else _("Set password")
        return {**context, "summary": [{"label": state}], "button_label": button}


class AccountChangeForm(UserChangeForm):  # type: ignore[type-arg]
    password = ReadOnlyPasswordHashField(label=_("Console password"), widget=PasswordState)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for name, default in _QUOTAS.items():
            if quota := self.fields.get(name):
                quota.widget.attrs["placeholder"] = number(default)
        if password := self.fields.get("password"):
            password.help_text = ""  # Django's says the same as the button

    class Meta:
        model = Account
        fields = "__all__"
        widgets = _WIDGETS
        labels = {"is_superuser": _("Superuser"), "last_login": _("Last sign-in")}
        help_texts = {"is_superuser": _("Has all permissions in the administration.")}


def _deactivating(accounts: QuerySet[Account]) -> str:
    count = accounts.count()
    text = ngettext(
        "%(count)s account is deactivated. Its sessions and its access to the registry end at once.",
        "%(count)s accounts are deactivated. Their sessions and their access to the registry end at once.",
        count,
    )
    return text % {"count": number(count)}


def _resetting(accounts: QuerySet[Account]) -> str:
    count = accounts.count()
    text = ngettext(
        "%(count)s account gets a random registry password, shown once. The old one stops at once.",
        "%(count)s accounts get random registry passwords, shown once. The old ones stop at once.",
        count,
    )
    return text % {"count": number(count)}


class ActivatedFilter(admin.SimpleListFilter):
    title = _("service")
    parameter_name = "service"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("activated")), ("no", _("not activated"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Account]) -> QuerySet[Account]:
        if self.value() in {"yes", "no"}:
            return queryset.filter(credential__activated_at__isnull=self.value() == "no")
        return queryset


class KindFilter(admin.SimpleListFilter):
    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("person", _("person")), ("service", _("service account"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Account]) -> QuerySet[Account]:
        if self.value() in {"person", "service"}:
            return queryset.filter(is_service=self.value() == "service")
        return queryset


@admin.register(Account)
class AccountAdmin(AuditedAdmin, UserAdmin):  # type: ignore[type-arg]
    actions_are_recorded = True
    form = AccountChangeForm
    add_form = AccountCreationForm
    change_password_form = AccountPasswordForm
    list_display = ("account_id", "name", "email", "service_activated", "is_active", "is_staff", "created_at")
    list_filter = (KindFilter, "is_active", "is_staff", ActivatedFilter)
    list_select_related = ("credential",)
    search_fields = ("account_id", "name", "email", "credential__username")
    search_help_text = _("Search by Account ID, name, e-mail or user name")
    ordering = ("-created_at",)
    good_news = ("is_active",)
    readonly_fields = ("account_id", "created_at", "last_login", "user_name", "service_activated")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("account_id", "name", "email", "password", "created_at", "last_login")}),
        (_("Registry"), {"fields": ("user_name", "service_activated")}),
        (_("Quotas (leave empty for the default)"), {"fields": ("namespace_quota", "image_quota", "tag_quota")}),
        (_("Permissions"), {"fields": ("is_active", "is_staff", "is_superuser")}),
    )
    add_fieldsets = ((None, {"fields": ("name", "email", "usable_password", "password1", "password2")}),)
    actions = ("deactivate", "reactivate", "reset_registry_password")
    related = (
        Related("namespaces.namespace", "owner"),
        Related("images.image", "owner", size="size"),
        Related("accounts.accesstoken", "account"),
        Related("tokens.login", "account"),
        Related("mfa.authenticator", "user"),
        Related("socialaccount.socialaccount", "user"),
    )

    def audited_as(self, obj: Any) -> str:
        return str(obj.account_id)

    @admin.display(description=_("user name"))
    def user_name(self, account: Account) -> str:
        credential = account.registry_credential
        return credential.username if credential else "–"

    @admin.display(description=_("service activated"))
    def service_activated(self, account: Account) -> str:
        return yes_no(account.activated, good=True)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # accounts are deactivated, not deleted: an Account ID is never reused

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fields = tuple(self.readonly_fields)
        if obj is not None and obj.is_service:
            # It cannot sign in, and has nothing of its own. A deleted one stays deactivated.
            fields += ("name", "email", "is_staff", "is_superuser", *_QUOTAS)
            return fields if obj.registry_credential else (*fields, "is_active")
        if not request.user.is_superuser:
            # Against privilege escalation: an administrator of accounts must not extend their own permissions.
            fields += ("is_staff", "is_superuser")
        if obj is not None and obj.pk == request.user.pk:
            # Their own is changed on the Account page, which requires reauthentication: an open session is not enough.
            fields += ("email",)
        return fields

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        sets = super().get_fieldsets(request, obj)
        if obj is None or not obj.is_service:
            return sets
        without = {"email", "password", "last_login", *_QUOTAS}
        kept = [(title, [name for name in options["fields"] if name not in without]) for title, options in sets]
        return [(title, {"fields": fields}) for title, fields in kept if fields]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        if request.path == reverse("admin:autocomplete"):
            queryset = queryset.filter(is_service=False)  # where an account is chosen, it is a person's
        return super().get_search_results(request, queryset, search_term)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and not may_administer(request.user.is_superuser, obj.is_superuser):
            return False
        return super().has_change_permission(request, obj)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        # Changing their own password requires the old one: an open session is not enough.
        account = self.get_object(request, unquote(id))
        if account is not None and account.is_service:
            raise PermissionDenied
        if account == request.user:
            messages.info(request, _("Change your own password here."))
            return redirect("admin:password_change")
        return super().user_change_password(request, id, form_url)

    def save_model(self, request: HttpRequest, obj: Account, form: forms.ModelForm[Account], change: bool) -> None:
        turned = change and "is_active" in form.changed_data
        if turned:
            obj.is_active = not obj.is_active  # restored: the service below changes it, with all consequences
        super().save_model(request, obj, form, change)
        if turned:
            set_active(obj, not obj.is_active)
        if not change:
            messages.info(request, _("Account ID: %s") % obj.account_id)

    def acts_as(self, obj: Any) -> str:
        return str(obj.account_id)

    def actions_of(self, request: HttpRequest, obj: Account) -> Collection[str]:
        """Not to deactivate oneself, and only what changes the account."""
        missing = {"reactivate" if obj.is_active else "deactivate"}
        if obj.pk == request.user.pk:
            missing.add("deactivate")
        if obj.registry_credential is None or obj.is_service:
            missing.add("reset_registry_password")
        if obj.registry_credential is None and obj.is_service:
            missing.add("reactivate")
        return set(super().actions_of(request, obj)) - missing

    def response_add(self, request: HttpRequest, obj: Account, post_url_continue: str | None = None) -> HttpResponse:
        """Lead to the account's page, where more can be set."""
        return super().response_add(request, obj, reverse("admin:accounts_account_change", args=[obj.pk]))

    @admin.action(description=_("Deactivate (ends sessions and registry access at once)"))
    @asks(_("Deactivate accounts"), _("Deactivate"), _deactivating)
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        accounts = self._changeable(
            request, queryset.filter(is_active=True).exclude(account_id=request.user.get_username())
        )
        for account in accounts:
            set_active(account, False)
        text = ngettext("Deactivated %(count)s account.", "Deactivated %(count)s accounts.", len(accounts))
        messages.success(request, text % {"count": number(len(accounts))})

    @admin.action(description=_("Reactivate"))
    def reactivate(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        # Deleted service accounts stay deactivated.
        deleted = Q(is_service=True, credential=None)
        accounts = self._changeable(request, queryset.filter(is_active=False).exclude(deleted))
        for account in accounts:
            set_active(account, True)
        text = ngettext("Reactivated %(count)s account.", "Reactivated %(count)s accounts.", len(accounts))
        messages.success(request, text % {"count": number(len(accounts))})

    @admin.action(description=_("Reset registry password to a random one (shown once)"))
    @asks(_("Reset registry passwords"), _("Reset"), _resetting)
    def reset_registry_password(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        for account in self._changeable(request, queryset):
            password = secrets.token_urlsafe(12)
            try:
                change_registry_password(account, password)
            except ValidationError as problem:
                messages.error(request, f"{account}: {' '.join(problem.messages)}")
                continue
            messages.success(
                request,
                _("New registry password of %(account)s: %(password)s") % {"account": account, "password": password},
            )

    def _changeable(self, request: HttpRequest, queryset: QuerySet[Account]) -> list[Account]:
        return [account for account in queryset if self.has_change_permission(request, account)]
