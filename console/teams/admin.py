"""Teams, their members and the identity provider's groups in the administration."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from console.accounts.admin import AccountAdmin
from console.accounts.models import Account
from console.membership.models import Team, TeamGroup, TeamMember
from console.teams import groups, services
from console.web.admin_columns import number_of
from console.web.admin_questions import asks
from console.web.admin_related import OfRow, Related
from console.web.admin_services import ByServiceAdmin, ByServiceForm
from console.web.templatetags.console import number


class TeamForm(ByServiceForm):
    manager = forms.ModelChoiceField(
        Account.objects.filter(is_active=True, is_service=False, credential__activated_at__isnull=False),
        label=_("First manager"),
        help_text=_("The service must be activated for this account."),
    )

    class Meta:
        model = Team
        fields = ("name", "description")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.instance.pk is not None:
            self.fields.pop("manager", None)

    def serve(self, data: dict[str, Any]) -> Team:
        if self.instance.pk is None:
            return services.create_team(data["manager"], data["name"], data["description"], by="admin")
        services.change_team(None, self.instance, data["name"], data["description"], by="admin")
        found: Team = self.instance
        return found


@admin.register(Team)
class TeamAdmin(ByServiceAdmin):
    form = TeamForm
    list_display = ("name", "description", "members", "managers", "namespaces", "created_at")
    search_fields = ("name", "description", "groups__group")
    search_help_text = _("Search by name, description or group")
    readonly_fields = ("created_at",)
    related = (
        Related("membership.grant", "team"),
        Related("membership.teammember", "team"),
        Related("membership.teamgroup", "team"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        found: QuerySet[Team] = super().get_queryset(request)
        return found.annotate(
            member_count=Count("members__account", distinct=True),
            manager_count=Count("members__account", distinct=True, filter=Q(members__is_manager=True)),
            namespace_count=Count("grants__namespace", distinct=True),
        )

    def audited_as(self, obj: Any) -> str:
        return str(obj.name)

    @admin.display(description=_("members"), ordering="member_count")
    def members(self, team: Any) -> str:
        return number_of(team.member_count)

    @admin.display(description=_("managers"), ordering="manager_count")
    def managers(self, team: Any) -> str:
        return number_of(team.manager_count)

    @admin.display(description=_("namespaces"), ordering="namespace_count")
    def namespaces(self, team: Any) -> str:
        return number_of(team.namespace_count)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "description", "created_at") if obj else ("name", "description", "manager")

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What goes with teams, which takes no permission of its own: members by groups cannot be deleted alone."""
        related, counts, _needed, protected = super().get_deleted_objects(objs, request)
        return related, counts, set(), protected

    def consequence(self, obj: Any) -> str:
        count = obj.grants.values("namespace").distinct().count()
        text = ngettext(
            "Its members lose the roles that it has in %(count)s namespace. This cannot be undone.",
            "Its members lose the roles that it has in %(count)s namespaces. This cannot be undone.",
            count,
        )
        return text % {"count": number(count)}

    def remove(self, row: Team) -> None:
        services.delete_team(None, row, by="admin")


class TeamMemberForm(ByServiceForm):
    class Meta:
        model = TeamMember
        fields = ("team", "account", "is_manager")

    def serve(self, data: dict[str, Any]) -> TeamMember:
        row: TeamMember = self.instance
        if row.pk is None:
            services.add_member(None, data["team"], data["account"], manager=data["is_manager"], by="admin")
            return TeamMember.objects.get(team=data["team"], account=data["account"], source=TeamMember.Source.HAND)
        services.set_manager(None, row.team, row.account, data["is_manager"], by="admin")
        return row


@admin.register(TeamMember)
class TeamMemberAdmin(ByServiceAdmin):
    form = TeamMemberForm
    list_display = ("member", "team", "account", "source", "is_manager", "active", "created_at")
    list_filter = ("source", "is_manager", ("team", OfRow), ("account", OfRow))
    list_select_related = ("team", "account")
    search_fields = ("team__name", "account__account_id", "account__name")
    search_help_text = _("Search by team, Account ID or name")
    ordering = ("-created_at", "-pk")
    autocomplete_fields = ("team", "account")

    def audited_as(self, obj: TeamMember) -> str:
        return obj.team.name

    @admin.display(description=_("member"))
    def member(self, row: TeamMember) -> str:
        return self.heading(row)

    @admin.display(description=_("active"), boolean=True, ordering="account__is_active")
    def active(self, row: TeamMember) -> bool:
        return row.account.is_active

    def heading(self, obj: Any) -> str:
        return gettext("%(account)s in %(team)s") % {"account": obj.account.name, "team": obj.team.name}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("team", "account", "source", "created_at") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        more = ("source", "created_at") if obj else ()
        return ("team", "account", "is_manager", *more)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.source == TeamMember.Source.GROUP:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.source == TeamMember.Source.GROUP:
            return False
        return super().has_delete_permission(request, obj)

    def consequence(self, obj: Any) -> str:
        return gettext("The roles of the team end for this account at the next request.")

    def remove(self, row: TeamMember) -> None:
        services.remove_member(None, row.team, row.account, by="admin")


class TeamGroupForm(ByServiceForm):
    class Meta:
        model = TeamGroup
        fields = ("group", "team")

    def serve(self, data: dict[str, Any]) -> TeamGroup:
        made = groups.add_mapping(data["team"], data["group"], by="admin")
        if made is None:
            raise ValidationError({"group": _("This group is mapped to the team already.")})
        return made


@admin.register(TeamGroup)
class TeamGroupAdmin(ByServiceAdmin):
    form = TeamGroupForm
    list_display = ("group", "team")
    list_filter = (("team", OfRow),)
    list_select_related = ("team",)
    search_fields = ("group", "team__name")
    search_help_text = _("Search by group or team")
    autocomplete_fields = ("team",)

    def audited_as(self, obj: TeamGroup) -> str:
        return obj.team.name

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def consequence(self, obj: Any) -> str:
        return gettext("Who is in the team by this group alone leaves it at once. Members added by a person stay.")

    def remove(self, row: TeamGroup) -> None:
        groups.remove_mapping(row, by="admin")


def _syncing(accounts: QuerySet[Account]) -> str:
    count = accounts.count()
    text = ngettext(
        "No identity provider says which groups somebody has who is not signing in. So the memberships by groups and "
        "the sessions of %(count)s account end at once, and the groups are read at its next sign-in.",
        "No identity provider says which groups somebody has who is not signing in. So the memberships by groups and "
        "the sessions of %(count)s accounts end at once, and the groups are read at their next sign-in.",
        count,
    )
    return text % {"count": number(count)}


@admin.action(description=_("Sync groups (ends memberships by groups, and sessions)"), permissions=["change"])
@asks(_("Sync groups"), _("Sync groups"), _syncing)
def sync_groups(options: AccountAdmin, request: HttpRequest, queryset: QuerySet[Account]) -> None:
    """End the memberships by groups and the sessions of accounts, so that their next sign-in reads the groups."""
    accounts = [account for account in queryset if options.has_change_permission(request, account)]
    for account in accounts:
        groups.read_again(account, by="admin")
    text = ngettext(
        "The groups of %(count)s account are read at its next sign-in.",
        "The groups of %(count)s accounts are read at their next sign-in.",
        len(accounts),
    )
    messages.success(request, text % {"count": number(len(accounts))})


# The accounts' own room knows no teams.
AccountAdmin.actions = (*AccountAdmin.actions, sync_groups)  # type: ignore[assignment]
AccountAdmin.related = (  # type: ignore[assignment]
    *AccountAdmin.related,
    Related("membership.teammember", "account"),
)
