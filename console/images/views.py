"""Pages: the list of images, an image, the usage guide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db.models import BigIntegerField, Exists, OuterRef, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from console.access_tokens.expiry import Notice
from console.accounts.models import Account
from console.accounts.requests import Request
from console.database.compiled import Compiled
from console.images import activity, clients, tags
from console.images.commands import Command, this_registry
from console.images.rights import Right, right_on
from console.images.rows import ShownImage
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


def own_image(request: Request, repository: str, verb: str = "image.view", *, under_way: bool = False) -> Image:
    """The image with this name, for an account with a role on it. One query more where it is not the account's own.

    It is annotated with ``starred``, and has ``right``: what the account may do (``console.images.rights``).

    :param under_way: also annotate ``has_copies``, ``has_transfers`` and ``has_failures``.
    :raises Http404: when the account has no role on such an image.
    :raises PermissionDenied: when its role does not include ``verb``, with a sentence for the page.
    """
    for image in _own_images(request.user.pk, repository, shape=(under_way,)):
        image.right = right = right_on(request.user, image)  # type: ignore[attr-defined]
        if right.role is None:  # the role ended after the first query
            break
        if refusal := right.refusal(verb):
            raise PermissionDenied(refusal)
        return image
    raise Http404


@Compiled
def _own_images(account: int, repository: str, under_way: bool) -> QuerySet[Image]:
    owner = Account(pk=account)
    images = Image.objects.visible_to(owner).select_related("namespace__owner", "deletion")
    if under_way:
        images = images.annotate(has_copies=_has("copies"), has_transfers=_has("transfers"), has_failures=_FAILURES)
    return images.annotate(starred=starred_by(owner)).filter(full_name=repository).order_by()


_FAILURES = Exists(shown_failures(OuterRef("full_name")))


def _has(relation: str) -> Exists:
    """Subquery: whether the image has related rows of this kind."""
    rows: Any = Image._meta.get_field(relation).related_model
    return Exists(rows.objects.filter(image=OuterRef("pk")))


def _filtered(request: Request, images: QuerySet[Image]) -> tuple[QuerySet[Image], int | None, dict[str, Any]]:
    """Apply the filters in the URL: search, namespace and type.

    :return: the images; their number, if known; and the active filters, for the page.
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
    """The rows of a page; images that are being deleted as whole objects, to show their progress."""
    rows = list(map(ShownImage._make, found))
    deleting = [row.pk for row in rows if row.state == Image.State.DELETING]
    if not deleting:
        return list(rows)
    images = Image.objects.select_related("namespace", "deletion").in_bulk(deleting)
    return [images.get(row.pk, row) for row in rows if row.state != Image.State.DELETING or row.pk in images]


def listing(
    request: Request, checklist: Mapping[str, bool], invitations: int = 0, expiring: Sequence[Notice] = ()
) -> HttpResponse:
    """The list of images (``console.home.my_images``): one's own, and those shared with one.

    :param checklist: the first steps, and whether each is done; may be empty.
    :param invitations: how many pending invitations the account has.
    :param expiring: the notices of access tokens that expire soon.
    """
    context = _listed(request, Image.objects.visible_to(request.user), reverse("images"))
    context |= {"checklist": checklist, "all_done": all(checklist.values())}
    context |= {"invitations": invitations, "expiring_tokens": expiring}
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
    """The context of a page with a list of images.

    :param place: the page's URL.
    :param namespace: the namespace of all these images, on the page of a namespace.
    """
    overview = versions.overview(request.user)  # read first: later changes make the page reload
    quota = quotas.quota(request.user, images_used=overview.images)
    images, total, chosen = _filtered(request, images)
    sort, order = sorting(request.GET, search.SORTS, "-created")
    images = images.annotate(starred=starred_by(request.user)).order_by(*order)
    if namespace is not None:
        total = None if any(chosen.values()) else namespace.image_count  # otherwise a total of all namespaces
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
    """One row of the list, polled while the image is being deleted.

    When the image is gone, the response is empty, which removes the row, and triggers a reload of the list.
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
    """A message if the registry does not answer; otherwise empty.

    Loaded by htmx afterwards, so that no page waits for the registry.
    """
    return page(request, "images/_registry_status.html", {"answers": registry_answers()})


@require_GET
@activated
def guide(request: Request) -> HttpResponse:
    """Usage guide: the commands from login to pull. Selecting another client reloads only the commands."""
    first = Image.objects.visible_to(request.user).select_related("namespace").order_by("-created_at").first()
    namespace = Namespace.objects.visible_to(request.user).order_by("name").first()
    repository = first.repository if first else f"{namespace or '[namespace]'}/[image]"
    context = {**_client_context(request, repository, first), "section": "images"}
    context["no_namespace"] = first is None and namespace is None
    if request.htmx.target == "commands":
        return page(request, "images/_commands.html", context)
    return dialog(request, "images/guide.html", _("Usage guide"), context)


def _client_context(request: Request, repository: str, image: Image | None, *, pushes: bool = True) -> dict[str, Any]:
    """The commands of the client in the URL, or of the one for the image's kind of content.

    :param pushes: whether the account may push; otherwise without the commands for that.
    """
    known = tags.known_tags(image) if image else clients.Known()
    choices = clients.clients(known)
    asked = request.GET.get("client", "")
    client = asked if asked in dict(choices) else choices[0][0]
    credential = request.user.registry_credential
    use = clients.Use(this_registry(), repository, credential.username if credential else "[UserName]", known)
    commands = [one for one in clients.client_commands(client, use) if pushes or not one.pushes]
    return {"clients": choices, "client": client, "commands": commands}


def push_commands(request: Request, image: Image) -> list[Command]:
    """Docker's commands from login to the first push."""
    credential = request.user.registry_credential
    use = clients.Use(this_registry(), image.repository, credential.username if credential else "[UserName]")
    return clients.push_commands(use)


def image_context(request: Request, image: Image, tab: str) -> dict[str, Any]:
    """Context of every tab of an image's page."""
    right: Right = image.right  # type: ignore[attr-defined]
    credential = request.user.registry_credential
    return {"image": image, "tab": tab, "section": "images", "credential": credential, **right.context()}


@require_GET
@activated
def commands(request: Request, repository: str) -> HttpResponse:
    """The commands for this image, for each client."""
    image = own_image(request, repository)
    context = image_context(request, image, "commands")
    context |= _client_context(request, image.repository, image, pushes="image.push" in context["verbs"])
    return page(request, "images/commands.html", context, part="commands", partial="images/_commands.html")


@require_GET
@activated
def storage(request: Request, namespace: str) -> HttpResponse:
    """The storage of a namespace by image, and its recent activity."""
    own = get_object_or_404(Namespace.objects.allowing(request.user, "namespace.view"), name=namespace)
    images = Image.objects.filter(namespace=own)
    context = {
        "namespace": own,
        "host": settings.REGISTRY_ADDRESS,
        "tab": "storage",
        "shares": activity.storage_shares(images),
        **activity.shown_days(DailyActivity.objects.filter(image__namespace=own)),
        "images": own.image_count,
        **images.aggregate(storage=Coalesce(Sum("size"), 0, output_field=BigIntegerField())),
        "section": "images",
    }
    return page(request, "images/storage.html", context)


@require_GET
@activated
def version(request: Request) -> HttpResponse:
    """Version of the list: an open page polls it, and fetches the list when it changes."""
    return _version(versions.list_version(request.user))


@require_GET
@activated
def image_version(request: Request, repository: str) -> HttpResponse:
    """Version of an image's page."""
    return _version(versions.image_version(own_image(request, repository)))


def _version(text: str) -> HttpResponse:
    response = HttpResponse(text, content_type="text/plain")
    response["Cache-Control"] = "no-store"
    return response
