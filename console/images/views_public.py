"""Pages of public images of all accounts."""

from __future__ import annotations

from django.db.models import F, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from console.accounts.requests import Request
from console.images import tags as tag_list
from console.images.commands import manifest_commands
from console.repositories import search
from console.repositories.models import Image
from console.web.activated import activated
from console.web.paging import paged
from console.web.rendering import page, search_text
from console.web.sorting import sorting

# Each has its index (``Image.Meta``).
SORTS = {
    "name": "name",
    "pulls": "pull_count",
    "stars": "star_count",
    "pushed": F("last_push_at").asc(nulls_first=True),
}


@require_GET
@activated
def listing(request: Request) -> HttpResponse:
    """List all public images."""
    images: QuerySet[Image] = Image.objects.public()
    text = search_text(request.GET)
    if text:
        images, _many = search.find(images, text)
    sort, order = sorting(request.GET, SORTS, "-pulls")
    rows = paged(images.select_related("namespace").defer("description").order_by(*order), request.GET, wide=True)
    context = {"rows": rows, "sort": sort, "text": text, "section": "public-images"}
    return page(request, "favorites/public_images.html", context, part="public")


@require_GET
@activated
def image(request: Request, repository: str) -> HttpResponse:
    """A public image for other accounts: description, tags, pull command. Does not call the registry."""
    shown = get_object_or_404(Image.objects.public().select_related("namespace"), full_name=repository)
    text = search_text(request.GET)
    rows, sort = tag_list.tag_page(shown, request.GET, text)
    for row in rows.rows:
        row.command = manifest_commands(shown.repository, row.manifest, row.name, row.subject)[0].text  # type: ignore[attr-defined]
    tag = tag_list.tag_to_pull(shown)
    context = {
        "image": shown,
        "mine": request.user.may("image.view", shown),
        "rows": rows,
        "sort": sort,
        "text": text,
        "tag": tag,
        "commands": manifest_commands(shown.repository, tag.manifest, tag.name) if tag else [],
        "section": "public-images",
    }
    return page(request, "favorites/public_image.html", context, part="tags")
