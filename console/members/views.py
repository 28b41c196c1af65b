"""Pages: the members and the settings of a namespace, and the people with access to an image."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from console.accounts.requests import Request
from console.members import activity
from console.members.holders import MOST_ON_IMAGES, Holders, image_grants, page_of, rows_of
from console.members.own_role import own_role
from console.members.services import leave as leave_namespace
from console.members.services import refuse_leave
from console.namespaces.models import Namespace
from console.ownership.hand_over import offer_of
from console.repositories.models import Image
from console.sharing.guards import namespace_allowing
from console.sharing.reasons import reason_of
from console.sharing.services import refuse_release
from console.web.activated import activated
from console.web.paging import paged
from console.web.rendering import dialog, go, page, search_text


@require_GET
@activated
def members(request: Request, namespace: str) -> HttpResponse:
    """Who has a role on a namespace; roles on single images in a section of their own."""
    shown = namespace_allowing(request.user, namespace, "namespace.view")
    own, text = own_role(request.user, shown), search_text(request.GET)
    rows = page_of(request.user, Holders(shown, None, text), request.GET, text)
    manages = "namespace.manage_members" in own.verbs
    context = {
        "namespace": shown,
        "own": own,
        "manages": manages,
        "rows": rows,
        "text": text,
        "release_refusal": refuse_release(shown) if manages else "",
        "section": "images",
        "tab": "members",
    }
    # The list alone, which htmx asks for, does not have them.
    if request.htmx.target != "list":
        on_images = image_grants(shown)
        first = [reason_of(grant, grant.account) for grant in on_images[: MOST_ON_IMAGES + 1]]
        context["on_images"] = rows_of(request.user, first[:MOST_ON_IMAGES])
        context["more_on_images"] = on_images.count() - MOST_ON_IMAGES if len(first) > MOST_ON_IMAGES else 0
    return page(request, "members/members.html", context, part="list", frame="images/base_namespace.html")


@require_GET
@activated
def namespace_activity(request: Request, namespace: str) -> HttpResponse:
    """What happened in a namespace, for its owners."""
    shown = namespace_allowing(request.user, namespace, "namespace.view_activity")
    kind = request.GET.get("kind", "")
    rows = paged(activity.events_of(shown, kind), request.GET)
    context = {
        "namespace": shown,
        "rows": rows,
        "shown": activity.in_words(request.user, rows),
        "kinds": [(name, label) for name, (label, _first) in activity.KINDS.items()],
        "kind": kind if kind in activity.KINDS else "",
        "section": "images",
        "tab": "activity",
    }
    return page(request, "members/activity.html", context, part="list", frame="images/base_namespace.html")


@require_GET
@activated
def settings(request: Request, namespace: str) -> HttpResponse:
    """The facts of a namespace; leave it, hand it over, delete it."""
    shown = namespace_allowing(request.user, namespace, "namespace.view")
    own = own_role(request.user, shown)
    context = {
        "namespace": shown,
        "own": own,
        "leave_refusal": refuse_leave(request.user, shown),
        "offer": offer_of(shown) if "namespace.transfer" in own.verbs else None,
        "section": "images",
        "tab": "settings",
    }
    return page(request, "members/settings.html", context)


@require_http_methods(["GET", "POST"])
@activated
def leave(request: Request, namespace: str) -> HttpResponse:
    """Give up one's own roles on a namespace and its images."""
    shown = get_object_or_404(Namespace.objects.visible_to(request.user).select_related("owner"), name=namespace)
    problem = ""
    if request.method == "POST":
        try:
            leave_namespace(request.user, shown)
        except ValidationError as error:
            problem = " ".join(error.messages)
        else:
            messages.success(request, _("Left the namespace “%s”.") % namespace)
            return go(request, reverse("images"))
    teams = [reason.team.name for reason in own_role(request.user, shown).reasons if reason.team is not None]
    context = {
        "namespace": shown,
        "by_team": ", ".join(teams),
        "owns": shown.owner_id == request.user.pk,
        "problem": problem,
        "refusal": "" if problem else refuse_leave(request.user, shown),
        "cancel": reverse("namespace-settings", args=[namespace]),
        "section": "images",
    }
    return dialog(request, "members/leave.html", _("Leave namespace"), context, invalid=bool(problem))


@require_GET
@activated
def access(request: Request, repository: str) -> HttpResponse:
    """The people with access to an image: who, which role, why, and until when."""
    images = Image.objects.visible_to(request.user).select_related("namespace__owner", "deletion")
    image = get_object_or_404(images, full_name=repository)
    verbs, text = request.user.verbs_on(image), search_text(request.GET)
    rows = page_of(request.user, Holders(image.namespace, image, text), request.GET, text)
    own = own_role(request.user, image.namespace)
    context = {
        "image": image,
        "namespace": image.namespace,
        "rows": rows,
        "text": text,
        "manages": "image.manage_members" in verbs and image.state == Image.State.ACTIVE,
        "manages_namespace": "namespace.manage_members" in own.verbs,
        "sees_namespace": "namespace.view" in own.verbs,
        "credential": request.user.registry_credential,
        "section": "images",
        "tab": "access",
    }
    return page(request, "members/access.html", context, part="list", frame="images/base_image.html")
