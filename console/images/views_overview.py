"""An image's Overview and Settings."""

from __future__ import annotations

from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET

from console.accounts.requests import Request
from console.images import activity
from console.images import tags as tag_list
from console.images.commands import manifest_commands
from console.images.notices import notices_of
from console.images.views import image_context, own_image, push_commands
from console.repositories import versions
from console.repositories.models import DailyActivity
from console.web.activated import activated
from console.web.rendering import page

# Tags that the Overview shows.
_LATEST = 5
# What htmx may ask for alone: the ID of an element, and its template.
_PARTS = {"now": "images/_overview_now.html", "description": "images/_description.html"}


@require_GET
@activated
def overview(request: Request, repository: str) -> HttpResponse:
    """What the image is, how to pull it, its latest tags, what happened lately, and who has access.

    The list of tags had this address before: with the query of a list, it leads there.
    """
    if request.GET or request.htmx.target == "tags":
        return HttpResponseRedirect(f"{reverse('image-tags', args=[repository])}?{request.GET.urlencode()}")
    image = own_image(request, repository, under_way=True)
    tag, work = tag_list.tag_to_pull(image), notices_of(image)
    latest = tag_list.latest_tags(image, _LATEST)
    for one in latest:
        one.command = manifest_commands(image.repository, one.manifest, one.name, one.subject)[0].text  # type: ignore[attr-defined]
    context = {
        **image_context(request, image, "overview"),
        "version": versions.image_version(image),
        "tag": tag,
        "commands": manifest_commands(image.repository, tag.manifest, tag.name)
        if tag
        else push_commands(request, image),
        "latest": latest,
        **activity.shown_days(DailyActivity.objects.filter(image=image)),
        "under_way": len(work),
        "problems": sum(one.is_problem for one in work),
    }
    part = request.htmx.target if request.htmx.target in _PARTS else ""
    return page(request, "images/overview.html", context, part=part, partial=_PARTS.get(part, ""))


@require_GET
@activated
def info(request: Request, repository: str) -> HttpResponse:
    """Redirect: the former Info tab is part of the Overview."""
    image = own_image(request, repository)
    return HttpResponseRedirect(reverse("image", args=[image.repository]))


@require_GET
@activated
def settings(request: Request, repository: str) -> HttpResponse:
    """Public or private, the description, and the deletion of the image."""
    image = own_image(request, repository)
    return page(request, "images/settings.html", image_context(request, image, "settings"))
