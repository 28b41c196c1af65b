"""The Namespace tab."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import BigIntegerField, Count, Max, OuterRef, Subquery, Sum
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
from console.repositories.models import Image
from console.web.activated import activated
from console.web.paging import paged
from console.web.rendering import add_errors, dialog, go, page, search_text
from console.web.sorting import sorting

COLUMNS = {"name": "name", "images": "image_total", "storage": "storage", "created": "created_at"}


@require_GET
@activated
def listing(request: Request) -> HttpResponse:
    """One's namespaces, with what is in them."""
    text = search_text(request.GET)
    # Added up for the rows that are shown alone, unless they are sorted by it.
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
    rows = paged(namespaces.order_by(*order), request.GET)
    _add_use(list(rows))
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


def _add_use(namespaces: list[Namespace]) -> None:
    """Give each namespace its images' ``pulls``, their ``last_push``, and ``percent``: its storage, of the largest."""
    images = Image.objects.filter(namespace__in=namespaces).order_by().values("namespace")
    used = {
        key: (pulls, pushed)
        for key, pulls, pushed in images.values_list("namespace", Sum("pull_count"), Max("last_push_at"))
    }
    most = max((one.storage for one in namespaces), default=0)  # type: ignore[attr-defined]
    for one in namespaces:
        one.pulls, one.last_push = used.get(one.pk, (0, None))  # type: ignore[attr-defined]
        one.percent = one.storage * 100 / most if most else 0  # type: ignore[attr-defined]


@require_http_methods(["GET", "POST"])
@activated
def create(request: Request) -> HttpResponse:
    """Create a Namespace."""
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
    """Delete a namespace that holds no image."""
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
