"""Dialogs to give, change and take roles."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from console.access.roles import Role
from console.accounts.requests import Request
from console.members.forms import OwnerRoleForm, RoleForm, TeamRoleForm, initial_of
from console.membership.models import Grant, RoleName
from console.namespaces.models import Namespace
from console.repositories.models import Image
from console.sharing.guards import namespace_allowing, require
from console.sharing.services import change_role, give_role, refuse_release, release_owner, take_role
from console.web.activated import activated
from console.web.rendering import add_errors, came_from, dialog, go


@require_http_methods(["GET", "POST"])
@activated
def add_team(request: Request, namespace: str) -> HttpResponse:
    """Give a team a role on a namespace."""
    chosen = namespace_allowing(request.user, namespace, "namespace.manage_members")
    return _add_team(request, chosen, None, reverse("namespace-members", args=[namespace]))


@require_http_methods(["GET", "POST"])
@activated
def add_team_to_image(request: Request, repository: str) -> HttpResponse:
    """Give a team a role on an image."""
    images = Image.objects.visible_to(request.user).select_related("namespace__owner")
    image = get_object_or_404(images, full_name=repository)
    require(request.user, "image.manage_members", image)
    return _add_team(request, image.namespace, image, reverse("image-access", args=[repository]))


def _add_team(request: Request, namespace: Namespace, image: Image | None, place: str) -> HttpResponse:
    form = TeamRoleForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            give_role(request.user, namespace, data["team"], data["role"], image=image, until=data["until"])
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            words = {"team": data["team"].name, "role": RoleName(data["role"]).label}
            messages.success(request, _("Team %(team)s now has the role %(role)s.") % words)
            return go(request, place)
    context = {"form": form, "namespace": namespace, "image": image, "place": place, "section": "images"}
    return dialog(request, "members/add_team.html", _("Add team"), context, invalid=bool(form.errors))


def _grant_of(request: Request, namespace: str, pk: int) -> tuple[Grant, bool]:
    """A role in a namespace that the reader may see, and whether it is the reader's own.

    :raises Http404: when there is none, or the reader may not know of it.
    """
    reachable = Namespace.objects.visible_to(request.user).filter(name=namespace)
    grants = Grant.objects.current().select_related("account", "team", "image__namespace__owner", "namespace__owner")
    grant = get_object_or_404(grants.filter(namespace__in=reachable), pk=pk)
    own = grant.account_id == request.user.pk
    if not own and not _sees(request, grant):
        raise Http404
    return grant, own


def _sees(request: Request, grant: Grant) -> bool:
    """Whether the reader sees this role on a page: that of the namespace, or that of the image."""
    if grant.image is not None and request.user.may("image.view", grant.image):
        return True
    return request.user.may("namespace.view", grant.namespace)


def _require_manager(request: Request, grant: Grant) -> None:
    """Check that the reader may change this role.

    :raises PermissionDenied: when they may not.
    """
    if grant.image is not None:
        require(request.user, "image.manage_members", grant.image)
    else:
        require(request.user, "namespace.manage_members", grant.namespace)


def _place_of(request: Request, grant: Grant) -> str:
    """The list to go back to: where the dialog was opened, or the one that the role is shown on."""
    members = reverse("namespace-members", args=[grant.namespace.name])
    if grant.image is None:
        return came_from(request, members)
    return came_from(request, reverse("image-access", args=[grant.image.repository]), members)


def _context(request: Request, grant: Grant, **more: Any) -> dict[str, Any]:
    return {
        "grant": grant,
        "role": RoleName(grant.role).label,
        "place": _place_of(request, grant),
        "section": "images",
        **more,
    }


@require_http_methods(["GET", "POST"])
@activated
def change(request: Request, namespace: str, pk: int) -> HttpResponse:
    """Change the role of a member, and when it ends."""
    grant, _own = _grant_of(request, namespace, pk)
    _require_manager(request, grant)
    form = RoleForm(request.POST or None, initial=initial_of(grant))
    if request.method == "POST" and form.is_valid():
        try:
            change_role(request.user, grant, form.cleaned_data["role"], form.cleaned_data["until"])
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            words = {"member": grant.holder.name, "role": RoleName(form.cleaned_data["role"]).label}
            messages.success(request, _("%(member)s now has the role %(role)s.") % words)
            return go(request, _place_after(request, grant))
    context = _context(request, grant, form=form)
    return dialog(request, "members/change.html", _("Change role"), context, invalid=bool(form.errors))


def _place_after(request: Request, grant: Grant) -> str:
    """Where to go on: the list, as long as the reader may still see it."""
    if grant.image is not None and request.user.may("image.view", grant.image):
        return _place_of(request, grant)
    if grant.image is None and request.user.may("namespace.view", grant.namespace):
        return _place_of(request, grant)
    return reverse("images")


@require_http_methods(["GET", "POST"])
@activated
def remove(request: Request, namespace: str, pk: int) -> HttpResponse:
    """Take a role from a member, or give up one's own."""
    grant, own = _grant_of(request, namespace, pk)
    if not own:
        _require_manager(request, grant)
    problem = ""
    if request.method == "POST":
        try:
            take_role(request.user, grant)
        except ValidationError as error:
            problem = " ".join(error.messages)
        else:
            where = grant.image.repository if grant.image is not None else namespace
            words = {"member": grant.holder.name, "place": where}
            text = _("You gave up your role on %(place)s.") if own else _("Removed %(member)s from %(place)s.")
            messages.success(request, text % words)
            return go(request, _place_after(request, grant))
    title = _("Leave") if own else _("Remove member")
    context = _context(request, grant, own=own, problem=problem)
    return dialog(request, "members/remove.html", title, context, invalid=bool(problem))


def _owned(request: Request, namespace: str) -> Namespace:
    return namespace_allowing(request.user, namespace, "namespace.manage_members")


@require_http_methods(["GET", "POST"])
@activated
def change_owner(request: Request, namespace: str) -> HttpResponse:
    """Give the namespace's own account a lower role; another owner takes over."""
    chosen = _owned(request, namespace)
    form = OwnerRoleForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        problem = _release(request, chosen, form.cleaned_data["role"])
        if problem is None:
            return go(request, reverse("namespace-members", args=[namespace]))
        add_errors(form, problem)
    context = {"form": form, **_owner_context(request, chosen)}
    return dialog(request, "members/change_owner.html", _("Change role"), context, invalid=bool(form.errors))


@require_http_methods(["GET", "POST"])
@activated
def remove_owner(request: Request, namespace: str) -> HttpResponse:
    """Remove the namespace's own account; another owner takes over."""
    chosen, problem = _owned(request, namespace), None
    if request.method == "POST":
        own = chosen.owner_id == request.user.pk
        problem = _release(request, chosen, None)
        if problem is None:
            return go(request, reverse("images") if own else reverse("namespace-members", args=[namespace]))
    context = {**_owner_context(request, chosen), "problem": " ".join(problem.messages) if problem else ""}
    return dialog(request, "members/remove_owner.html", _("Remove member"), context, invalid=bool(problem))


def _owner_context(request: Request, namespace: Namespace) -> dict[str, Any]:
    return {
        "namespace": namespace,
        "owns": namespace.owner_id == request.user.pk,
        "refusal": refuse_release(namespace),
        "place": reverse("namespace-members", args=[namespace.name]),
        "section": "images",
    }


def _release(request: Request, namespace: Namespace, role: Role | None) -> ValidationError | None:
    """Release the namespace's own account; what went wrong, or nothing and a message."""
    former = namespace.owner.name
    try:
        heir = release_owner(request.user, namespace, role)
    except ValidationError as problem:
        return problem
    if role is None:
        text = _("Removed %(member)s. %(heir)s owns the namespace now.")
    else:
        text = _("%(member)s now has the role %(role)s. %(heir)s owns the namespace now.")
    words = {"member": former, "heir": heir.name, "role": RoleName(role).label if role is not None else ""}
    messages.success(request, text % words)
    return None
