"""Pages of teams: the list, create, where a team has roles, settings, delete."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count, Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Now
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from console.accounts.requests import Request
from console.membership.models import Grant, Team, TeamMember
from console.teams import services
from console.teams.forms import CreateTeamForm, TeamForm
from console.teams.rows import roles_of
from console.web.activated import activated
from console.web.paging import paged
from console.web.rendering import add_errors, dialog, go, page, refuse_typed, search_text
from console.web.sorting import sorting

_SHOWN_NAMESPACES = 10
COLUMNS = {"name": "name", "created": "created_at"}
ROLE_COLUMNS = {"place": "namespace__name", "role": "role", "until": F("until").asc(nulls_last=True)}


def team_of(request: Request, name: str, *, manage: bool = False) -> Team:
    """A team that the account may see.

    :param manage: whether it has to be one that the account manages.
    :raises Http404: when there is none.
    """
    team = get_object_or_404(Team.objects.visible_to(request.user), name=name)
    if not request.user.may("team.manage" if manage else "team.view", team):
        raise Http404
    return team


def about(request: Request, team: Team, tab: str) -> dict[str, Any]:
    """The context of every page of a team."""
    return {
        "team": team,
        "manages": request.user.may("team.manage", team),
        "section": "teams",
        "tab": tab,
    }


@require_GET
@activated
def listing(request: Request) -> HttpResponse:
    """List the teams that the account is in."""
    text = search_text(request.GET)
    sort, order = sorting(request.GET, COLUMNS, "name")
    teams = Team.objects.visible_to(request.user)
    if text:
        teams = teams.filter(Q(name__icontains=text) | Q(description__icontains=text))
    managing = TeamMember.objects.filter(team=OuterRef("pk"), account=request.user, is_manager=True)
    rows = paged(
        teams.annotate(
            manages=Exists(managing),
            member_count=Coalesce(Subquery(_counted(TeamMember.objects.all(), "account")), 0),
            namespace_count=Coalesce(Subquery(_counted(_current_grants(), "namespace")), 0),
        ).order_by(*order),
        request.GET,
    )
    context = {
        "rows": rows,
        "sort": sort,
        "text": text,
        "refusal": services.refuse_team(request.user),
        "section": "teams",
    }
    return page(request, "teams/list.html", context, part="list")


def _current_grants() -> Any:
    return Grant.objects.filter(Q(until=None) | Q(until__gt=Now()))


def _counted(rows: Any, field: str) -> Any:
    """How many different values of a field the rows of each team have."""
    own = rows.filter(team=OuterRef("pk")).order_by().values("team")
    return own.annotate(number=Count(field, distinct=True)).values("number")


@require_http_methods(["GET", "POST"])
@activated
def create(request: Request) -> HttpResponse:
    """Create a team; the person who creates it is its first manager."""
    form = CreateTeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            team = services.create_team(request.user, data["name"], data["description"])
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            messages.success(request, _("Created the team “%s”.") % team)
            return go(request, reverse("team", args=[team.name]))
    context = {"form": form, "refusal": services.refuse_team(request.user), "section": "teams"}
    invalid = request.method == "POST" and bool(form.errors)
    return dialog(request, "teams/create.html", _("Create a Team"), context, invalid=invalid)


@require_GET
@activated
def access(request: Request, team: str) -> HttpResponse:
    """List where a team has roles."""
    found = team_of(request, team)
    sort, order = sorting(request.GET, ROLE_COLUMNS, "place")
    rows = paged(roles_of(found).order_by(*order), request.GET)
    context = {**about(request, found, "access"), "rows": rows, "sort": sort}
    return page(request, "teams/access.html", context, part="list")


@require_http_methods(["GET", "POST"])
@activated
def change(request: Request, team: str) -> HttpResponse:
    """Rename and describe a team."""
    found = team_of(request, team, manage=True)
    name = found.name
    form = TeamForm(request.POST or None, initial={"name": found.name, "description": found.description})
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            if services.change_team(request.user, found, data["name"], data["description"]):
                messages.success(request, _("Saved the team “%s”.") % found)
        except ValidationError as problem:
            found.name = name
            add_errors(form, problem)
        else:
            return go(request, reverse("team-settings", args=[found.name]))
    invalid = request.method == "POST" and bool(form.errors)
    context = {**about(request, found, "settings"), "form": form}
    return page(request, "teams/settings.html", context, status=422 if invalid else 200)


@require_http_methods(["GET", "POST"])
@activated
def delete(request: Request, team: str) -> HttpResponse:
    """Delete a team, after saying which namespaces lose it."""
    found = team_of(request, team, manage=True)
    problem = ""
    if request.method == "POST":
        problem = refuse_typed(request, found.name)
        if not problem:
            try:
                services.delete_team(request.user, found)
            except ValidationError as error:
                problem = " ".join(error.messages)
            else:
                messages.success(request, _("Deleted the team “%s”.") % team)
                return go(request, reverse("teams"))
    names = list(roles_of(found).order_by("namespace__name").values_list("namespace__name", flat=True).distinct())
    context = {
        "team": found,
        "names": names[:_SHOWN_NAMESPACES],
        "others": max(len(names) - _SHOWN_NAMESPACES, 0),
        "problem": problem,
        "section": "teams",
    }
    return dialog(request, "teams/delete.html", _("Delete Team"), context, invalid=bool(problem))
