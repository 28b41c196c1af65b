"""The page of favorites, and the star button."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import HttpResponseClientRefresh

from console.accounts.models import Account
from console.accounts.requests import Request
from console.official_images.models import OfficialImage
from console.repositories.models import Image
from console.stars import services
from console.stars.models import Star
from console.web.activated import activated
from console.web.paging import paged
from console.web.rendering import page, search_text
from console.web.sorting import sorting

_SORTS = {"name": "title", "starred": "created_at"}
KINDS = {
    "official": gettext_lazy("Official images"),
    "public": gettext_lazy("Public images"),
    "own": gettext_lazy("My images"),
}

# Styles of the button (``console.stars.templatetags.stars``).
LOOKS = ("head", "bare")


def _of_kind(stars: QuerySet[Star], account: Account, kind: str) -> QuerySet[Star]:
    if kind == "official":
        return stars.filter(image=None)
    if kind == "own":
        return stars.filter(image__owner=account)
    return stars.filter(image__visibility=Image.Visibility.PUBLIC).exclude(image__owner=account)


@require_GET
@activated
def favorites(request: Request) -> HttpResponse:
    """The account's favorites: official, public and own images in one list."""
    text = search_text(request.GET)
    kind = request.GET.get("kind", "")
    visible = Star.objects.visible_to(request.user)
    stars = _of_kind(visible, request.user, kind) if kind in KINDS else visible
    named = stars.annotate(title=Coalesce("image__full_name", "official_image__name"))
    for word in text.lower().split():
        named = named.filter(title__contains=word)
    sort, order = sorting(request.GET, _SORTS, "-starred")
    rows = paged(
        named.select_related("image__namespace", "official_image").defer("image__description").order_by(*order),
        request.GET,
    )
    for row in rows:
        row.target.starred = True
    shown = [row.image_id for row in rows if row.image_id is not None]
    context = {
        "rows": rows,
        "with_role": set(Image.objects.visible_to(request.user).filter(pk__in=shown).values_list("pk", flat=True)),
        "sort": sort,
        "text": text,
        "chosen_kind": kind,
        "kinds": KINDS.items(),
        "filtered": bool(text or kind in KINDS),
        "section": "favorites",
    }
    return page(request, "favorites/favorites.html", context, part="favorites")


@require_POST
@activated
def star(request: Request, repository: str) -> HttpResponse:
    """Add or remove a star on an own or public image; 404 for other images."""
    image = get_object_or_404(Image.objects.readable_by(request.user), full_name=repository)
    return _star(request, image)


@require_POST
@activated
def star_official(request: Request, name: str) -> HttpResponse:
    """Add or remove a star on an official image."""
    return _star(request, get_object_or_404(OfficialImage, name=name))


def _star(request: Request, target: Image | OfficialImage) -> HttpResponse:
    """The updated button; without JavaScript, redirect to the page with the button."""
    try:
        target = services.set_star(request.user, target, request.POST.get("star") == "on")
    except ValidationError as problem:
        messages.error(request, " ".join(problem.messages))
        return HttpResponseClientRefresh() if request.htmx else HttpResponseRedirect(_back(request))
    if not request.htmx:
        return HttpResponseRedirect(_back(request))
    look = request.GET.get("look", "")
    return page(request, "favorites/_starred.html", {"target": target, "look": look if look in LOOKS else ""})


def _back(request: HttpRequest) -> str:
    """The page with the button, if it is on this site."""
    address = request.POST.get("next", "")
    ours = address.startswith("/") and url_has_allowed_host_and_scheme(address, allowed_hosts=None)
    return address if ours else reverse("favorites")
