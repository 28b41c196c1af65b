"""Looking at images: the My Images tab, an image's page, the commands."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, F, QuerySet, Value
from django.db.models.functions import Concat
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from console import policy
from console.activation.views import activation_page
from console.images.models import Image, Tag
from console.pages.activated import activated
from console.pages.rendering import Request, dialog, page, paged, search_text, signed_in, sorting
from console.registry import registry_answers

COLUMNS = {
    "name": "name",
    "type": "visibility",
    "namespace": "namespace__name",
    "tags": "tag_count",
    "size": "size",
    "pushed": "last_push_at",
    "created": "created_at",
}
TAG_COLUMNS = {"name": "name", "size": "manifest__size", "pushed": "pushed_at"}


def own_image(request: Request, repository: str) -> Image:
    """The image with this name among one's own; anybody else's is not found."""
    namespace, _slash, name = repository.partition("/")
    images = policy.visible_images(request.user).select_related("namespace__owner", "deletion")
    return get_object_or_404(images, namespace__name=namespace, name=name)


def _filtered(request: Request, images: QuerySet[Image]) -> tuple[QuerySet[Image], dict[str, Any]]:
    """Apply search, namespace and type from the address; what is in force, for the page."""
    text = search_text(request.GET)
    namespace = request.GET.get("namespace", "").replace("\x00", "")
    kind = request.GET.get("type", "")
    if text:
        images = images.annotate(full_name=Concat(F("namespace__name"), Value("/"), F("name"))).filter(
            full_name__icontains=text
        )
    if namespace:
        images = images.filter(namespace__name=namespace)
    if kind in Image.Visibility.values:
        images = images.filter(visibility=kind)
    return images, {"text": text, "chosen_namespace": namespace, "chosen_type": kind}


@require_GET
@signed_in
def listing(request: Request) -> HttpResponse:
    """My Images; until the service is activated, the activation form and nothing else."""
    if not request.user.activated:
        return activation_page(request)
    images, chosen = _filtered(request, policy.visible_images(request.user))
    sort, order = sorting(request.GET, COLUMNS, "-created")
    rows = paged(images.select_related("namespace", "deletion").order_by(*order), request.GET)
    quota = policy.quota(request.user)
    context = {
        **chosen,
        "rows": rows,
        "sort": sort,
        "filtered": any(chosen.values()),
        "namespaces": list(policy.visible_namespaces(request.user).order_by("name").values_list("name", flat=True)),
        "types": Image.Visibility.choices,
        "quota": quota,
        "refusal": policy.refuse_image(request.user),
        "section": "images",
        "tab": "images",
    }
    return page(request, "images/list.html", context, partial="images/_list.html")


@require_GET
@activated
def row(request: Request, repository: str) -> HttpResponse:
    """One row of the list, asked for again and again while the image is being deleted.

    When the image is gone the answer is empty, so that the row goes, and the list is told.
    """
    namespace, _slash, name = repository.partition("/")
    images = policy.visible_images(request.user).select_related("namespace", "deletion")
    image = images.filter(namespace__name=namespace, name=name).first()
    if image is None:
        response = HttpResponse("")
        response["HX-Trigger"] = "list-changed"
        return response
    return page(request, "images/_row.html", {"image": image})


@require_GET
@activated
def registry_status(request: Request) -> HttpResponse:
    """Says in one sentence that the registry does not answer; nothing when it does.

    Asked for by the page after it is shown, so that no page waits for the registry.
    """
    return page(request, "images/_registry_status.html", {"answers": registry_answers()})


@require_GET
@activated
def guide(request: Request) -> HttpResponse:
    """Usage guide: the commands from login to pull."""
    first = policy.visible_images(request.user).select_related("namespace").order_by("-created_at").first()
    namespace = policy.visible_namespaces(request.user).order_by("name").first()
    context = {
        "credential": request.user.registry_credential,
        "repository": first.repository if first else f"{namespace or '[namespace]'}/[image]",
        "section": "images",
    }
    return dialog(request, "images/guide.html", _("Usage guide"), context)


def _image_context(request: Request, image: Image, tab: str) -> dict[str, Any]:
    return {"image": image, "tab": tab, "section": "images", "credential": request.user.registry_credential}


@require_GET
@activated
def tags(request: Request, repository: str) -> HttpResponse:
    """An image's tags. Everything comes from the index: the registry is not asked."""
    image = own_image(request, repository)
    text = search_text(request.GET)
    found = Tag.objects.filter(image=image).select_related("manifest").annotate(same=Count("manifest__tags"))
    if text:
        found = found.filter(name__icontains=text)
    sort, order = sorting(request.GET, TAG_COLUMNS, "-pushed")
    context = {
        **_image_context(request, image, "tags"),
        "rows": paged(found.order_by(*order), request.GET),
        "sort": sort,
        "text": text,
        "filtered": bool(text),
        "deleting": image.state == Image.State.DELETING or found.filter(state=Tag.State.DELETING).exists(),
        "quota": policy.quota(request.user),
    }
    return page(request, "images/tags.html", context, partial="images/_tags.html")


@require_GET
@activated
def info(request: Request, repository: str) -> HttpResponse:
    """What the image is: description, type, owner, totals."""
    image = own_image(request, repository)
    return page(request, "images/info.html", _image_context(request, image, "info"))


@require_GET
@activated
def commands(request: Request, repository: str) -> HttpResponse:
    """The exact commands for this image."""
    image = own_image(request, repository)
    context = {**_image_context(request, image, "commands"), "repository": image.repository}
    return page(request, "images/commands.html", context)
