"""Roles in the administration, and everything that an account may do on its page."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from console.access.roles import Role
from console.accounts.admin import AccountAdmin
from console.accounts.models import Account
from console.membership.models import Grant, RoleName
from console.ownership.admin import NamespaceAdmin
from console.sharing import services
from console.sharing.reasons import all_reasons_of
from console.sharing.words import why
from console.web.admin_related import OfRow, Related
from console.web.admin_services import ByServiceAdmin, ByServiceForm


class GrantForm(ByServiceForm):
    """Give a role, or change it, with the same services as the pages."""

    class Meta:
        model = Grant
        fields = ("namespace", "image", "account", "team", "role", "until")

    def serve(self, data: dict[str, Any]) -> Grant:
        """Give or change the role.

        :raises ValidationError: for one that cannot be given.
        """
        role, until = Role(data["role"]), data["until"]
        if self.instance.pk is not None:
            services.change_role(None, self.instance, role, until)
            return Grant.objects.get(pk=self.instance.pk)
        account, team, image = data["account"], data["team"], data["image"]
        if (account is None) == (team is None):
            raise ValidationError({"team": _("Choose either an account or a team.")})
        if image is not None and image.namespace_id != data["namespace"].pk:
            raise ValidationError({"image": _("Choose an image of this namespace.")})
        return services.give_role(None, data["namespace"], account or team, role, image=image, until=until)


@admin.register(Grant)
class GrantAdmin(ByServiceAdmin):
    form = GrantForm
    list_display = ("holder", "place", "role", "until", "current", "granted_by", "created_at")
    list_filter = ("role", ("namespace", OfRow), ("account", OfRow), ("team", OfRow))
    list_select_related = ("namespace", "image", "account", "team", "granted_by")
    search_fields = ("namespace__name", "image__full_name", "account__account_id", "account__name", "team__name")
    search_help_text = _("Search by namespace, image, account or team")
    ordering = ("-created_at", "-pk")
    autocomplete_fields = ("namespace", "image", "account", "team")
    # One field, which its label names.
    formfield_overrides: ClassVar[Any] = {
        models.DateTimeField: {
            "form_class": forms.DateTimeField,
            "widget": forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        }
    }

    def audited_as(self, obj: Grant) -> str:
        return obj.namespace.name

    @admin.display(description=_("who"))
    def holder(self, grant: Grant) -> str:
        return str(grant.holder)

    @admin.display(description=_("on"), ordering="namespace__name")
    def place(self, grant: Grant) -> str:
        return grant.image.full_name if grant.image is not None else grant.namespace.name

    @admin.display(description=_("in force"), boolean=True)
    def current(self, grant: Grant) -> bool:
        return not grant.expired and (grant.account is None or grant.account.is_active)

    def heading(self, obj: Any) -> str:
        return gettext("%(role)s: %(holder)s on %(place)s") % {
            "role": obj.get_role_display(),
            "holder": obj.holder,
            "place": self.place(obj),
        }

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("namespace", "image", "account", "team", "granted_by", "created_at") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        more = ("granted_by", "created_at") if obj else ()
        return ("namespace", "image", "account", "team", "role", "until", *more)

    def consequence(self, obj: Any) -> str:
        return gettext("The role ends at the next request for a registry token, and for pushes at once.")

    def remove(self, row: Grant) -> None:
        services.take_role(None, row)


@admin.display(description=_("may do"))
def everything(options: AccountAdmin, account: Account) -> SafeString | str:
    """Every role that an account has: where, which, why, and until when."""
    lines = [
        (
            one.place,
            RoleName(one.role).label,
            why(one),
            gettext("until %s") % f"{one.until:%Y-%m-%d}" if one.until else "",
        )
        for one in all_reasons_of(account)
    ]
    if not lines:
        return gettext("No namespace, and no role on one.")
    return format_html("<ul>{}</ul>", format_html_join("", "<li>{}: {}, {} {}</li>", lines))


# The rooms of accounts and namespaces know no roles of members.
AccountAdmin.everything = everything  # type: ignore[attr-defined]
AccountAdmin.readonly_fields = (*AccountAdmin.readonly_fields, "everything")  # type: ignore[assignment]
AccountAdmin.fieldsets = (  # type: ignore[assignment]
    *AccountAdmin.fieldsets,
    (_("Everything this account may do"), {"fields": ("everything",)}),
)
AccountAdmin.related = (*AccountAdmin.related, Related("membership.grant", "account"))  # type: ignore[assignment]
NamespaceAdmin.related = (  # type: ignore[assignment]
    *NamespaceAdmin.related,
    Related("membership.grant", "namespace"),
)
