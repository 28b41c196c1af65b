"""Pages of the Namespace tab: list, create, delete."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import BigIntegerField, Count, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from console.accounts.requests import Request
from console.namespaces.models import Namespace
from console.ownership import services
from console.ownership.forms import NamespaceForm
from console.repositories import quotas
from console.web.activated import activated
from console.web.paging import paged
from console.web.rendering import add_errors, dialog, go, page, search_text
from console.web.sorting import sorting

COLUMNS = {"name": "name", "images": "image_total", "storage": "storage", "created": "created_at"}


@require_GET
@activated
def listing(request: Request) -> HttpResponse:
    """List the account's namespaces, with their totals."""
    text = search_text(request.GET)
    # Sums are computed only for the rows of the page, unless the list is sorted by them.
    same = Namespace.objects.visible_to(request.user).filter(pk=OuterRef("pk")).order_by().values("pk")
    namespaces = (
        Namespace.objects.visible_to(request.user)
        .select_related("new_owner")
        .annotate(
            image_total=Subquery(same.annotate(total=Count("images")).values("total")),
            storage=Coalesce(
                Subquery(same.annotate(total=Sum("images__size")).values("total")), 0, output_field=BigIntegerField()
            ),
            transfer_problem=services.transfer_problem(),
        )
    )
    if text:
        namespaces = namespaces.filter(name__icontains=text)
    sort, order = sorting(request.GET, COLUMNS, "name")
    quota = quotas.quota(request.user)
    context = {
        "rows": paged(namespaces.order_by(*order), request.GET),
        "sort": sort,
        "text": text,
        "quota": quota,
        "refusal": quotas.refuse_namespace(request.user, quota),
        "section": "images",
        "tab": "namespaces",
    }
    return page(request, "namespaces/list.html", context, part="list")


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
    namespace = get_object_or_404(Namespace.objects.visible_to(request.user), name=name)
    problem = ""
    if request.method == "POST":
        try:
            services.delete_namespace(request.user, namespace)
        except ValidationError as error:
            problem = " ".join(error.messages)
        else:
            messages.success(request, _("Deleted the namespace “%s”.") % name)
            return go(request, reverse("namespaces"))
    context = {"namespace": namespace, "images": namespace.images.count(), "problem": problem, "section": "images"}
    return dialog(request, "namespaces/delete.html", _("Delete Namespace"), context, invalid=bool(problem))
