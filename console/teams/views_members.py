"""Pages of a team's members: list, add, make a manager, remove, leave."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.accounts.models import Account
from console.accounts.requests import Request
from console.teams import services
from console.teams.forms import MemberForm
from console.teams.rows import member_rows, members_of
from console.teams.views import about, team_of
from console.web.activated import activated
from console.web.paging import paged
from console.web.rendering import add_errors, came_from, dialog, go, page, search_text
from console.web.sorting import sorting

COLUMNS = {"name": "name", "manager": "is_manager", "added": "since"}


@require_GET
@activated
def members(request: Request, team: str) -> HttpResponse:
    """List the members of a team."""
    found = team_of(request, team)
    context = about(request, found, "members")
    text = search_text(request.GET)
    sort, order = sorting(request.GET, COLUMNS, "-manager")
    accounts = members_of(found, text, by_account_id=context["manages"])
    rows = paged(accounts.order_by(*order), request.GET)
    context |= {"rows": rows, "members": member_rows(found, list(rows)), "sort": sort, "text": text}
    return page(request, "teams/members.html", context, part="list")


@require_http_methods(["GET", "POST"])
@activated
def add(request: Request, team: str) -> HttpResponse:
    """Add an account to a team."""
    found = team_of(request, team, manage=True)
    form = MemberForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        account = form.account
        try:
            services.add_member(request.user, found, account, manager=form.cleaned_data["manager"])
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            messages.success(
                request, _("Added %(name)s to the team “%(team)s”.") % {"name": account.name, "team": found}
            )
            return go(request, reverse("team", args=[found.name]))
    invalid = request.method == "POST" and bool(form.errors)
    context = {"team": found, "form": form, "section": "teams"}
    return dialog(request, "teams/member_add.html", _("Add a Member"), context, invalid=invalid)


@require_POST
@activated
def manager(request: Request, team: str, account: int) -> HttpResponse:
    """Make a member a manager, or no manager any more."""
    found = team_of(request, team, manage=True)
    member = get_object_or_404(members_of(found), pk=account)
    becomes = request.POST.get("manager") == "yes"
    try:
        if services.set_manager(request.user, found, member, becomes):
            text = (
                _("%(name)s now manages the team “%(team)s”.")
                if becomes
                else _("%(name)s no longer manages the team “%(team)s”.")
            )
            messages.success(request, text % {"name": member.name, "team": found})
    except ValidationError as problem:
        messages.error(request, " ".join(problem.messages))
    home = reverse("team", args=[found.name])
    return go(request, came_from(request, home))


@require_http_methods(["GET", "POST"])
@activated
def remove(request: Request, team: str, account: int) -> HttpResponse:
    """Remove a member that was added by a person."""
    found = team_of(request, team, manage=True)
    member: Account = get_object_or_404(members_of(found), pk=account)
    home, problem = reverse("team", args=[found.name]), ""
    if request.method == "POST":
        try:
            services.remove_member(request.user, found, member)
        except ValidationError as error:
            problem = " ".join(error.messages)
        else:
            messages.success(
                request, _("Removed %(name)s from the team “%(team)s”.") % {"name": member.name, "team": found}
            )
            # Somebody who removed themselves does not see the team any more.
            return go(request, reverse("teams") if member == request.user else came_from(request, home))
    context = {"team": found, "member": member, "problem": problem, "section": "teams"}
    return dialog(request, "teams/member_remove.html", _("Remove a Member"), context, invalid=bool(problem))


@require_http_methods(["GET", "POST"])
@activated
def leave(request: Request, team: str) -> HttpResponse:
    """Leave a team."""
    found = team_of(request, team)
    problem = ""
    if request.method == "POST":
        try:
            services.leave(request.user, found)
        except ValidationError as error:
            problem = " ".join(error.messages)
        else:
            messages.success(request, _("You left the team “%s”.") % found)
            return go(request, reverse("teams"))
    refusal = services.refuse_leaving(found, request.user)
    context = {"team": found, "refusal": refusal, "problem": problem, "section": "teams"}
    return dialog(request, "teams/leave.html", _("Leave Team"), context, invalid=bool(problem))
