"""The list of images, an image's page, the usage guide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db.models import BigIntegerField, Count, Exists, OuterRef, QuerySet, Sum
from django.db.models.functions import Coalesce, Left
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from console.accounts.models import Account
from console.accounts.requests import Request
from console.database.compiled import Compiled
from console.images import activity, clients, tags
from console.images.commands import this_registry
from console.images.rows import BEGINNING, ShownImage
from console.namespaces.models import Namespace
from console.registry.connection import registry_answers
from console.registry.retry import shown_failures
from console.repositories import quotas, search, versions
from console.repositories.models import DailyActivity, Image, ImagePieces
from console.stars.services import starred_by
from console.web.activated import activated
from console.web.paging import paged
from console.web.rendering import dialog, page, search_text
from console.web.sorting import sorting


def own_image(request: Request, repository: str, *, under_way: bool = False) -> Image:
    """The image with this name among one's own, with the reader's star; anybody else's is not found.

    :param under_way: also says whether it ``has_copies``, ``has_transfers`` and ``has_failures``.
    :raises Http404: when there is none.
    """
    for image in _own_images(request.user.pk, repository, shape=(under_way,)):
        return image
    raise Http404


@Compiled
def _own_images(account: int, repository: str, under_way: bool) -> QuerySet[Image]:
    reader = Account(pk=account)
    images = Image.objects.visible_to(reader).select_related("namespace__owner", "deletion")
    if under_way:
        images = images.annotate(has_copies=_has("copies"), has_transfers=_has("transfers"), has_failures=_FAILURES)
    return images.annotate(starred=starred_by(reader)).filter(full_name=repository).order_by()


_FAILURES = Exists(shown_failures(OuterRef("full_name")))


def _has(relation: str) -> Exists:
    """Whether there is anything of the kind about an image."""
    rows: Any = Image._meta.get_field(relation).related_model
    return Exists(rows.objects.filter(image=OuterRef("pk")))


def _filtered(request: Request, images: QuerySet[Image]) -> tuple[QuerySet[Image], int | None, dict[str, Any]]:
    """Apply search, namespace and type from the address.

    :return: the images; how many they are, where that is known; and what is in force, for the page.
    """
    text = search_text(request.GET)
    namespace = request.GET.get("namespace", "").replace("\x00", "")
    kind = request.GET.get("type", "")
    total, many = None, False
    if text:
        images, many = search.find(images, text)
    if namespace:
        images = images.filter(namespace__name=namespace)
    if kind in Image.Visibility.values:
        images = images.filter(visibility=kind)
    if many and not namespace and not kind:
        total = search.total(ImagePieces.objects.visible_to(request.user), text)
    return images, total, {"text": text, "chosen_namespace": namespace, "chosen_type": kind}


def _shown(found: Iterable[tuple[Any, ...]]) -> list[ShownImage | Image]:
    """The rows of a page: those that are being deleted with all that they have, to show how far that is."""
    rows = list(map(ShownImage._make, found))
    deleting = [row.pk for row in rows if row.state == Image.State.DELETING]
    if not deleting:
        return list(rows)
    images = Image.objects.select_related("namespace", "deletion").in_bulk(deleting)
    return [images.get(row.pk, row) for row in rows if row.state != Image.State.DELETING or row.pk in images]


def listing(request: Request) -> HttpResponse:
    """The list of images (``console.home.my_images``)."""
    context = _listed(request, Image.objects.visible_to(request.user), reverse("images"))
    return page(request, "images/list.html", context, part="list")


@require_GET
@activated
def namespace_images(request: Request, namespace: str) -> HttpResponse:
    """A namespace's page: the list of its images."""
    own = get_object_or_404(Namespace.objects.visible_to(request.user), name=namespace)
    images = Image.objects.filter(namespace=own)
    context = _listed(request, images, reverse("namespace", args=[own.name]), own)
    return page(request, "images/namespace.html", context, part="list", frame="images/base_namespace.html")


def _listed(
    request: Request, images: QuerySet[Image], place: str, namespace: Namespace | None = None
) -> dict[str, Any]:
    """What a page with a list of images shows.

    :param place: the page's address.
    :param namespace: which the images are all of, where the page is a namespace's.
    """
    overview = versions.overview(request.user)  # read first: what changes from here on is fetched again
    quota = quotas.quota(request.user, images_used=overview.images)
    images, total, chosen = _filtered(request, images)
    sort, order = sorting(request.GET, search.SORTS, "-created")
    images = images.annotate(starred=starred_by(request.user), beginning=Left("description", BEGINNING))
    images = images.order_by(*order)
    if namespace is not None:
        total = None  # what is known is the account's
    elif not any(chosen.values()):
        total = overview.images
    rows = paged(images.values_list(*ShownImage._fields), request.GET, wide=True, total=total)
    rows.object_list = _shown(rows.object_list)
    return {
        **chosen,
        "rows": rows,
        "place": place,
        "host": settings.REGISTRY_ADDRESS,
        "namespace": namespace,
        "create_query": f"?namespace={namespace.name}" if namespace else "",
        "version": overview.version,
        "sort": sort,
        "filtered": any(chosen.values()),
        "namespaces": overview.namespaces,
        "types": tuple((value, str(label)) for value, label in Image.Visibility.choices),
        "quota": quota,
        "refusal": quotas.refuse_image(request.user, quota),
        "section": "images",
        "tab": "images",
    }


@require_GET
@activated
def row(request: Request, repository: str) -> HttpResponse:
    """One row of the list, asked for again and again while the image is being deleted.

    When the image is gone the answer is empty, so that the row goes, and the list is told.
    """
    namespace, _slash, name = repository.partition("/")
    images = Image.objects.visible_to(request.user).select_related("namespace", "deletion")
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
    """Usage guide: the commands from login to pull. A link to another client renews the commands alone."""
    first = Image.objects.visible_to(request.user).select_related("namespace").order_by("-created_at").first()
    namespace = Namespace.objects.visible_to(request.user).order_by("name").first()
    repository = first.repository if first else f"{namespace or '[namespace]'}/[image]"
    context = {**_client_context(request, repository, first), "section": "images"}
    if request.htmx.target == "commands":
        return page(request, "images/_commands.html", context)
    return dialog(request, "images/guide.html", _("Usage guide"), context)


def _client_context(request: Request, repository: str, image: Image | None) -> dict[str, Any]:
    """The commands of the client that the address names, or of the one that fits what the image holds."""
    known = tags.known_tags(image) if image else clients.Known()
    choices = clients.clients(known)
    asked = request.GET.get("client", "")
    client = asked if asked in dict(choices) else choices[0][0]
    credential = request.user.registry_credential
    use = clients.Use(this_registry(), repository, credential.username if credential else "[UserName]", known)
    return {"clients": choices, "client": client, "commands": clients.client_commands(client, use)}


def image_context(request: Request, image: Image, tab: str) -> dict[str, Any]:
    """What every tab of an image's page needs."""
    return {"image": image, "tab": tab, "section": "images", "credential": request.user.registry_credential}


@require_GET
@activated
def info(request: Request, repository: str) -> HttpResponse:
    """What the image is: description, type, owner, totals, and what happened lately."""
    image = own_image(request, repository)
    days = activity.last_days(DailyActivity.objects.filter(image=image))
    context = {**image_context(request, image, "info"), "days": days}
    return page(request, "images/info.html", context, part="description", partial="images/_description.html")


@require_GET
@activated
def commands(request: Request, repository: str) -> HttpResponse:
    """The exact commands for this image, client by client."""
    image = own_image(request, repository)
    context = {**image_context(request, image, "commands"), **_client_context(request, image.repository, image)}
    return page(request, "images/commands.html", context, part="commands", partial="images/_commands.html")


@require_GET
@activated
def storage(request: Request, namespace: str) -> HttpResponse:
    """What is stored in a namespace, image by image, and what happened there lately."""
    own = get_object_or_404(Namespace.objects.visible_to(request.user), name=namespace)
    images = Image.objects.filter(namespace=own)
    context = {
        "namespace": own,
        "host": settings.REGISTRY_ADDRESS,
        "tab": "storage",
        "shares": activity.storage_shares(images),
        "days": activity.last_days(DailyActivity.objects.filter(image__namespace=own)),
        **images.aggregate(images=Count("pk"), storage=Coalesce(Sum("size"), 0, output_field=BigIntegerField())),
        "section": "images",
    }
    return page(request, "images/storage.html", context)


@require_GET
@activated
def version(request: Request) -> HttpResponse:
    """The version of the list: an open page polls it, and fetches the list when it changes."""
    return _version(versions.list_version(request.user))


@require_GET
@activated
def image_version(request: Request, repository: str) -> HttpResponse:
    """The same for an image's page."""
    return _version(versions.image_version(own_image(request, repository)))


def _version(text: str) -> HttpResponse:
    response = HttpResponse(text, content_type="text/plain")
    response["Cache-Control"] = "no-store"
    return response
