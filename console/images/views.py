"""Pages: the list of images, an image, the usage guide."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
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

from console.access.roles import Role
from console.access_tokens.expiry import Notice
from console.accounts.models import Account
from console.accounts.requests import Request
from console.database.compiled import Compiled
from console.images import activity, clients, tags
from console.images.commands import Command, this_registry
from console.images.rights import Right, right_on
from console.images.rows import IMAGE_COLUMNS, ShownImage
from console.namespaces.models import Namespace
from console.registry.connection import registry_answers
from console.registry.retry import shown_failures
from console.repositories import merge, quotas, search, versions
from console.repositories.models import DailyActivity, Image, ImagePieces
from console.repositories.reach import MINE, SHARED, Reach, names_of_owners
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


def _filtered(
    request: Request, images: QuerySet[Image], reach: Reach
) -> tuple[QuerySet[Image], int | None, dict[str, Any]]:
    """Apply the filters in the URL: search, namespace and type.

    :param reach: of these images.
    :return: the images; their number, if known; and the active filters, for the page.
    """
    text = search_text(request.GET)
    namespace = request.GET.get("namespace", "").replace("\x00", "")
    kind = request.GET.get("type", "")
    kind = kind if kind in Image.Visibility.values else ""
    total, many = None, False
    if text:
        images, many = search.find(images, text)
    if namespace:
        images = images.filter(namespace__name=namespace)
    if kind:
        images = images.filter(visibility=kind)
    if many and not namespace and not kind and not reach.shared:
        total = search.total(ImagePieces.objects.owned_by(request.user), text)
    return images, total, {"text": text, "chosen_namespace": namespace, "chosen_type": kind}


def _shown(found: Iterable[tuple[Any, ...]], reach: Reach) -> list[ShownImage | Image]:
    """The rows of a page; images that are being deleted as whole objects, to show their progress.

    One query more where there are images of others, for the names of their owners.
    """
    rows = [ShownImage(*columns) for columns in found]
    if reach.shared:
        rows = _with_owners(rows, reach)
    deleting = [row.pk for row in rows if row.state == Image.State.DELETING]
    if not deleting:
        return list(rows)
    images = Image.objects.select_related("namespace", "deletion").in_bulk(deleting)
    return [images.get(row.pk, row) for row in rows if row.state != Image.State.DELETING or row.pk in images]


def _with_owners(rows: list[ShownImage], reach: Reach) -> list[ShownImage]:
    owners = {place.name: place.owner for place in reach.places}
    of_rows = {row.pk: owners.get(row.full_name.partition("/")[0], reach.account) for row in rows}
    names = names_of_owners({owner for owner in of_rows.values() if owner != reach.account})
    return [
        row._replace(shared_by=names.get(of_rows[row.pk], ""), role=reach.role_on(row.full_name, row.pk) or Role.READER)
        if of_rows[row.pk] != reach.account
        else row
        for row in rows
    ]


def listing(
    request: Request, checklist: Mapping[str, bool], invitations: int = 0, expiring: Sequence[Notice] = ()
) -> HttpResponse:
    """The list of images (``console.home.my_images``): one's own, and those shared with one.

    :param checklist: the first steps, and whether each is done; may be empty.
    :param invitations: how many pending invitations the account has.
    :param expiring: the notices of access tokens that expire soon.
    """
    context = _listed(request, reverse("images"))
    context |= {"checklist": checklist, "all_done": all(checklist.values())}
    context |= {"invitations": invitations, "expiring_tokens": expiring}
    return page(request, "images/list.html", context, part="list")


@require_GET
@activated
def namespace_images(request: Request, namespace: str) -> HttpResponse:
    """A namespace's page: the list of its images; of somebody with roles on single images, those alone."""
    found = Namespace.objects.select_related("owner").filter(name=namespace)
    own = get_object_or_404(found & Namespace.objects.visible_to(request.user))
    context = _listed(request, reverse("namespace", args=[own.name]), own)
    return page(request, "images/namespace.html", context, part="list", frame="images/base_namespace.html")


def _listed(request: Request, place: str, namespace: Namespace | None = None) -> dict[str, Any]:
    """The context of a page with a list of images.

    :param place: the page's URL.
    :param namespace: the namespace of all these images, on the page of a namespace.
    """
    overview = versions.overview(request.user)  # read first: later changes make the page reload
    owned = overview.reach.only(MINE)
    quota = quotas.quota(namespace.owner if namespace else request.user, None if namespace else owned.image_count)
    share = request.GET.get("shared", "") if namespace is None and overview.reach.shared else ""
    share = share if share in {MINE, SHARED} else ""
    reach = overview.reach.only(share) if namespace is None else overview.reach.of(namespace.name)
    images, total, chosen = _filtered(request, reach.images, reach)
    chosen["chosen_share"] = share
    sort, order = sorting(request.GET, search.SORTS, "-created")
    ordered = images.annotate(starred=starred_by(request.user)).order_by(*order).values_list(*IMAGE_COLUMNS)
    filtered = any(chosen.values())
    if not (chosen["text"] or chosen["chosen_namespace"] or chosen["chosen_type"]):
        total = reach.image_count
    in_order = None
    if reach.shared and namespace is None and not chosen["text"] and not chosen["chosen_namespace"]:
        in_order = functools.partial(merge.keys_of_page, reach, sort, kind=chosen["chosen_type"])
    rows = paged(ordered, request.GET, wide=True, total=total, keys=in_order)
    rows.object_list = _shown(rows.object_list, reach)
    verbs = request.user.verbs_on(namespace) if namespace is not None else ()
    return {
        **chosen,
        "rows": rows,
        "place": place,
        "host": settings.REGISTRY_ADDRESS,
        "namespace": namespace,
        "verbs": verbs,
        "may_push": "image.create" in verbs,
        "create_query": f"?namespace={namespace.name}" if namespace else "",
        "version": overview.version,
        "sort": sort,
        "filtered": filtered,
        "namespaces": overview.namespaces,
        "types": tuple((value, str(label)) for value, label in Image.Visibility.choices),
        "shares": ((MINE, _("Mine")), (SHARED, _("Shared with me"))) if overview.reach.shared else "",
        "quota": quota,
        "refusal": _refuse_create(request, namespace, verbs, quota),
        "section": "images",
        "tab": "images",
    }


def _refuse_create(request: Request, namespace: Namespace | None, verbs: Collection[str], quota: quotas.Quota) -> str:
    """Error message if no image can be created there; empty if one can."""
    if namespace is None:
        return quotas.refuse_image(request.user, quota)
    return quotas.refuse_image(namespace.owner, quota) if "image.create" in verbs else ""


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
