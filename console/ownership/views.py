"""Pages of the Namespace tab: list, create, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import BigIntegerField, Count, Max, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from console.access.roles import Role, allows
from console.accounts.models import Account
from console.accounts.requests import Request
from console.membership.models import Grant, RoleName
from console.namespaces.models import Namespace
from console.ownership import services
from console.ownership.forms import NamespaceForm
from console.repositories import quotas
from console.repositories.models import Image
from console.sharing.guards import namespace_allowing
from console.web.activated import activated
from console.web.paging import paged
from console.web.rendering import add_errors, dialog, go, page, refuse_typed, search_text
from console.web.sorting import sorting

COLUMNS = {"name": "name", "images": "image_count", "storage": "storage", "created": "created_at"}


@require_GET
@activated
def listing(request: Request) -> HttpResponse:
    """List the namespaces that the account has a role on, with their totals."""
    text = search_text(request.GET)
    sort, order = sorting(request.GET, COLUMNS, "name")
    namespaces = (
        Namespace.objects.visible_to(request.user)
        .select_related("new_owner", "owner")
        .annotate(transfer_problem=services.transfer_problem())
    )
    if sort.endswith("storage"):
        # Otherwise sums are computed only for the rows of the page (_add_use).
        same = Image.objects.visible_to(request.user).filter(namespace=OuterRef("pk")).order_by().values("namespace")
        storage = Subquery(same.annotate(total=Sum("size")).values("total"))
        namespaces = namespaces.annotate(storage=Coalesce(storage, 0, output_field=BigIntegerField()))
    if text:
        namespaces = namespaces.matching(text)
    quota = quotas.quota(request.user)
    rows = paged(namespaces.order_by(*order), request.GET)
    _add_roles(request.user, list(rows))
    _add_use(request.user, list(rows))
    context = {
        "rows": rows,
        "host": settings.REGISTRY_ADDRESS,
        "sort": sort,
        "text": text,
        "quota": quota,
        "refusal": quotas.refuse_namespace(request.user, quota),
        "section": "images",
        "tab": "namespaces",
    }
    return page(request, "namespaces/list.html", context, part="list")


def _add_roles(account: Account, namespaces: Sequence[Any]) -> None:
    """Add to each namespace what the account may do there, with one query; none without shared ones.

    ``mine``, ``role_name`` (empty with roles on single images alone), ``whole``, and ``may_delete``.
    """
    shared = [one.pk for one in namespaces if one.owner_id != account.pk]
    roles: dict[int, int] = {}
    if shared:
        grants = Grant.objects.held_by(account.pk).filter(image=None, namespace__in=shared)
        roles = dict(grants.order_by().values_list("namespace").annotate(highest=Max("role")))
    for one in namespaces:
        one.mine = one.owner_id == account.pk
        role = Role.OWNER if one.mine else Role(roles[one.pk]) if one.pk in roles else None
        one.role_name = RoleName(role).label if role else ""
        one.whole = role is not None
        one.may_delete = allows(role, "namespace.delete")


def _add_use(account: Account, namespaces: Sequence[Any]) -> None:
    """Add the totals of the images that the account may see to each namespace, with one query.

    ``seen`` (their number), ``storage`` (bytes), ``pulls``, ``last_push``, and ``percent``: its storage, of the
    largest one's.
    """
    images = Image.objects.filter(namespace__in=namespaces)
    if not all(one.whole for one in namespaces):
        images = images.visible_to(account)
    totals = images.order_by().values("namespace").values_list(
        "namespace", Count("pk"), Sum("size"), Sum("pull_count"), Max("last_push_at")
    )  # fmt: skip
    found = {key: (count, int(size), int(pulls), pushed) for key, count, size, pulls, pushed in totals}
    for one in namespaces:
        one.seen, one.storage, one.pulls, one.last_push = found.get(one.pk, (0, 0, 0, None))
    most = max((one.storage for one in namespaces), default=0)
    for one in namespaces:
        one.percent = one.storage * 100 / most if most else 0


@require_http_methods(["GET", "POST"])
@activated
def create(request: Request) -> HttpResponse:
    """Create a namespace."""
    form = NamespaceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            namespace = services.create_namespace(request.user, form.cleaned_data["name"])
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            messages.success(request, _("Created the namespace “%s”.") % namespace)
            return go(request, reverse("namespaces"))
    context = {"form": form, "refusal": quotas.refuse_namespace(request.user), "section": "images"}
    return dialog(request, "namespaces/create.html", _("Create a Namespace"), context, invalid=bool(form.errors))


@require_http_methods(["GET", "POST"])
@activated
def delete(request: Request, name: str) -> HttpResponse:
    """Delete a namespace without images."""
    namespace = namespace_allowing(request.user, name, "namespace.delete")
    images = namespace.image_count
    problem = ""
    if request.method == "POST":
        problem = "" if images else refuse_typed(request, name)
        if not problem:
            try:
                services.delete_namespace(request.user, namespace)
            except ValidationError as error:
                problem = " ".join(error.messages)
            else:
                messages.success(request, _("Deleted the namespace “%s”.") % name)
                return go(request, reverse("namespaces"))
    context = {"namespace": namespace, "images": images, "problem": problem, "counted": False, "section": "images"}
    return dialog(request, "namespaces/delete.html", _("Delete Namespace"), context, invalid=bool(problem))
