"""Second factors and connected identities in the administration."""

from __future__ import annotations

from typing import Any

from allauth.account import admin as _account_admin
from allauth.account.models import EmailAddress
from allauth.mfa import admin as _mfa_admin
from allauth.mfa.models import Authenticator
from allauth.socialaccount import admin as _social_admin
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from console.access.sign_in import may_administer
from console.login import factors, single_sign_on
from console.web.admin_base import AuditedAdmin
from console.web.admin_columns import link, text
from console.web.admin_related import OfRow
from console.web.templatetags.console import moment

# django-allauth's admin pages show secrets, or are not used here.
_REGISTERED = (_account_admin, _mfa_admin, _social_admin)
for model in (EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


_KINDS = {factors.TOTP: _("Authenticator app"), factors.PASSKEY: _("Passkey")}


class KindFilter(admin.SimpleListFilter):
    title = _("kind")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(_KINDS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(type=self.value()) if self.value() in _KINDS else queryset


class _Removable(AuditedAdmin):
    """Rows that users set up themselves; administrators may only view and delete them."""

    # The services below record the audit events.
    form_is_recorded = actions_are_recorded = True
    list_select_related = ("user",)
    search_fields = ("user__account_id", "user__name", "user__email")
    search_help_text = _("Search by Account ID, name or e-mail")

    def audited_as(self, obj: Any) -> str:
        return str(obj.user.account_id)

    @admin.display(description=_("account"), ordering="user__name")
    def account(self, one: Any) -> str:
        return link(one.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and not may_administer(request.user.is_superuser, obj.user.is_superuser):
            return False
        # Deleting their own requires reauthentication on the account's page: an open session is not enough.
        if obj is not None and obj.user_id == request.user.pk:
            return False
        return super().has_delete_permission(request, obj)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        one = self.get_object(request, unquote(object_id))
        if one is not None and one.user_id == request.user.pk:
            messages.info(request, _("Remove your own sign-in methods here."))
            return redirect("security")
        return super().delete_view(request, object_id, extra_context)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found = super().get_queryset(request)
        return found if request.user.is_superuser else found.exclude(user__is_superuser=True)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for one in queryset:
            self.delete_model(request, one)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        raise NotImplementedError


@admin.register(Authenticator)
class SecondFactorAdmin(_Removable):
    list_display = ("kind", "account", "name", "created_at", "last_used_at")
    list_filter = (KindFilter, ("user", OfRow))
    fields = readonly_fields = list_display
    ordering = ("-created_at", "-pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # Recovery codes are deleted with the last factor.
        return super().get_queryset(request).exclude(type=factors.RECOVERY_CODES)

    @admin.display(description=_("kind"), ordering="type")
    def kind(self, factor: Authenticator) -> str:
        return str(_KINDS.get(factor.type, factor.type))

    @admin.display(description=_("name"))
    def name(self, factor: Authenticator) -> str:
        return text(factors.name_of(factor))

    def heading(self, obj: Any) -> str:
        kind, name = self.kind(obj), factors.name_of(obj)
        named = kind if name == kind else f"{kind} “{name}”"
        return gettext("%(factor)s of %(account)s") % {"factor": named, "account": obj.user}

    def consequence(self, obj: Any) -> str:
        return gettext("The account can no longer confirm a sign-in with it. This cannot be undone.")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        factors.remove(obj, by="admin")


@admin.register(SocialAccount)
class IdentityAdmin(_Removable):
    list_display = ("identity", "account", "provider_name", "connected", "last_sign_in")
    list_filter = (("user", OfRow),)
    fields = readonly_fields = list_display
    ordering = ("-date_joined", "-pk")

    @admin.display(description=_("provider"), ordering="provider")
    def provider_name(self, identity: SocialAccount) -> str:
        return str(settings.OIDC_NAME if identity.provider == settings.OIDC_ISSUER else identity.provider) or "–"

    @admin.display(description=_("identity at the provider"), ordering="uid")
    def identity(self, identity: SocialAccount) -> str:
        return text(str(identity.uid))

    @admin.display(description=_("connected"), ordering="date_joined")
    def connected(self, identity: SocialAccount) -> str:
        return moment(identity.date_joined)

    @admin.display(description=_("last sign-in"), ordering="last_login")
    def last_sign_in(self, identity: SocialAccount) -> str:
        return moment(identity.last_login)

    def heading(self, obj: Any) -> str:
        values = {"identity": obj.uid, "provider": self.provider_name(obj), "account": obj.user}
        return gettext("%(identity)s at %(provider)s, of %(account)s") % values

    def consequence(self, obj: Any) -> str:
        provider = self.provider_name(obj)
        return gettext("The account can no longer sign in with %s. This cannot be undone.") % provider

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        single_sign_on.disconnect(obj, by="admin")
