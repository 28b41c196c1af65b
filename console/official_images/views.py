"""Pages: the list of Docker Hub's official images, and one of them."""

from __future__ import annotations

import datetime
import logging
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import F
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from console.access import rules
from console.accounts.requests import Request
from console.official_images import cached as cache
from console.official_images import catalogue, jobs
from console.official_images.models import Catalogue, OfficialImage, OfficialTag
from console.web.activated import activated
from console.web.paging import paged
from console.web.rendering import go, page, search_text, signed_in
from console.web.sorting import sorting
from registry_client import RegistryError

log = logging.getLogger(__name__)

COLUMNS = {
    "name": "name",
    "stars": "stars",
    "pulls": "pulls",
    "updated": F("updated_at").asc(nulls_first=True),
}
TAG_COLUMNS = {"name": "sort_key", "size": "size", "pushed": F("pushed_at").asc(nulls_first=True)}


@require_GET
@signed_in
def listing(request: Request) -> HttpResponse:
    """The stored list of official images; the worker refreshes it from Docker Hub."""
    if not settings.DOCKERHUB_ENABLED:
        why = {"off": rules.refuse_docker_hub(), "missing": settings.DOCKERHUB_MISSING}
        return page(request, "dockerhub/list.html", {"section": "docker-hub", **why})
    known = catalogue.state()
    if catalogue.due(timezone.now(), known) and jobs.ask_for_catalogue():
        known = catalogue.state()
    text = search_text(request.GET)
    images = OfficialImage.objects.filter(listed=True).matching(text)
    sort, order = sorting(request.GET, COLUMNS, "-pulls")
    context = {
        "enabled": True,
        "rows": paged(images.order_by(*order), request.GET),
        "sort": sort,
        "text": text,
        "catalogue": known,
        "pending": _pending(known),
        "version": _list_version(known),
        "section": "docker-hub",
    }
    return page(request, "dockerhub/list.html", context, part="list")


def _pending(known: Catalogue) -> bool:
    """Whether a refresh was requested and has not finished."""
    return known.asked_at is not None and (known.tried_at is None or known.tried_at < known.asked_at)


@require_POST
@activated
def refresh(request: Request) -> HttpResponse:
    """Request a refresh of the catalogue, whatever its age."""
    if jobs.ask_for_catalogue():
        messages.info(request, _("Refreshing the catalogue. The list updates automatically."))
    elif catalogue.is_backing_off(timezone.now(), catalogue.state()):
        messages.warning(request, _("Docker Hub’s rate limit is reached. Try again later."))
    else:
        messages.info(request, _("The catalogue was refreshed less than a minute ago. Try again later."))
    return go(request, reverse("docker-hub"))


@require_GET
@signed_in
def image(request: Request, name: str) -> HttpResponse:
    """An official image with its stored tags. Opening the page queues a refresh if they are older than an hour."""
    official = get_object_or_404(OfficialImage, name=name)
    now, known = timezone.now(), catalogue.state()
    if waiting := catalogue.tags_due(now, official, known):
        jobs.ask_for_tags(name)
    tags = OfficialTag.objects.filter(image=official)
    stored = tags.count()
    text = search_text(request.GET)
    if text:
        tags = tags.filter(name__icontains=text)
    sort, order = sorting(request.GET, TAG_COLUMNS, "-pushed")
    context: dict[str, Any] = {
        "image": official,
        "enabled": settings.DOCKERHUB_ENABLED,
        "off": rules.refuse_docker_hub(),
        "rows": paged(tags.order_by(*order), request.GET),
        "sort": sort,
        "text": text,
        "stored": stored,
        "pending": waiting or _being_read(now, official),
        "held_back": catalogue.is_backing_off(now, known),
        "first": _first_tag(official),
        "version": _image_version(official),
        "section": "docker-hub",
    }
    return page(request, "dockerhub/image.html", context, part="tags")


def _being_read(now: datetime.datetime, official: OfficialImage) -> bool:
    """Whether a refresh of the tags is in progress."""
    begun, ended = official.tags_tried_at, official.tags_known_at
    if begun is None or official.tags_problem or begun < now - catalogue.ASK_AGAIN:
        return False
    return ended is None or ended < begun


def _first_tag(official: OfficialImage) -> str:
    """The tag in the pull command: ``latest`` if it exists, otherwise the newest."""
    tags = OfficialTag.objects.filter(image=official)
    newest = tags.order_by(F("pushed_at").desc(nulls_last=True), "-pk").values_list("name", flat=True)
    return "latest" if tags.filter(name="latest").exists() else newest.first() or "latest"


@require_GET
@signed_in
def cached(request: Request, name: str) -> HttpResponse:
    """The cached content of an image; loaded by htmx afterwards, so that the page does not wait for the registry."""
    official = get_object_or_404(OfficialImage, name=name)
    context: dict[str, Any] = {"image": official}
    if settings.DOCKERHUB_ENABLED:
        try:
            context["cached"] = cache.read_cached(official.repository)
        except RegistryError as error:
            log.warning("the cache's content of %s cannot be read: %s", name, error)
    return page(request, "dockerhub/_cached.html", context)


@require_GET
@signed_in
def version(request: Request) -> HttpResponse:
    """Version of the list: an open page polls it, and fetches the list when it changes."""
    return _version(_list_version(catalogue.state()))


@require_GET
@signed_in
def image_version(request: Request, name: str) -> HttpResponse:
    """Version of an image's page."""
    return _version(_image_version(get_object_or_404(OfficialImage, name=name)))


def _list_version(known: Catalogue) -> str:
    return f"{known.asked_at} {known.tried_at} {known.refreshed_at} {known.problem}"


def _image_version(official: OfficialImage) -> str:
    return f"{official.tags_tried_at} {official.tags_known_at} {official.tags_problem}"


def _version(text: str) -> HttpResponse:
    response = HttpResponse(text, content_type="text/plain")
    response["Cache-Control"] = "no-store"
    return response
