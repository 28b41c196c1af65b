"""Pages: the tags of an image, a tag, a manifest."""

from __future__ import annotations

import re
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from console.accounts.requests import Request
from console.accounts.services import names_of
from console.images import parts
from console.images import tags as tag_list
from console.images.commands import manifest_commands
from console.images.config_details import content
from console.images.notices import SHOWN, notices_of
from console.images.views import image_context, own_image
from console.repositories import quotas, versions
from console.repositories.models import Document, Image, Manifest
from console.web.activated import activated
from console.web.rendering import page, search_text

# Limit of tags of a manifest on its page.
_MOST_NAMES = 50


@require_GET
@activated
def tags(request: Request, repository: str) -> HttpResponse:
    """An image's tags, from the index. Does not call the registry."""
    image = own_image(request, repository, under_way=True)
    text = search_text(request.GET)
    rows, sort = tag_list.tag_page(image, request.GET, text)
    shown = notices_of(image)
    context = {
        **image_context(request, image, "tags"),
        "rows": rows,
        "people": names_of((tag.pushed_by for tag in rows), request.user),
        "sort": sort,
        "text": text,
        "filtered": bool(text),
        "version": versions.image_version(image),
        "transfers": [one.work for one in shown if one.kind == "transfer"],
        "notices": shown[:SHOWN],
        "folded": shown[SHOWN:],
        "used": quotas.tags_used(image),
        "quota": quotas.quota(image.namespace.owner),
        "refusal": quotas.refuse_tag(image) if image.state == Image.State.ACTIVE else "",
    }
    return page(request, "images/tags.html", context, part="tags", frame="images/base_image.html")


@require_GET
@activated
def tag(request: Request, repository: str, tag: str) -> HttpResponse:
    """A tag's page, with the details of its manifest."""
    image = own_image(request, repository)
    row = tag_list.tag_named(image, tag)
    if row is None:
        raise Http404
    return _manifest_page(request, image, row.manifest, {"tag": row})


@require_GET
@activated
def manifest(request: Request, repository: str, digest: str) -> HttpResponse:
    """The page of a manifest by its digest: a platform, an attachment, or an untagged manifest."""
    image = own_image(request, repository)
    row = get_object_or_404(Manifest.objects.defer("children", "blobs"), image=image, digest=digest)
    return _manifest_page(request, image, row, {})


def _manifest_page(request: Request, image: Image, manifest: Manifest, context: dict[str, Any]) -> HttpResponse:
    tag_list.decorate(image, [manifest])
    platforms = manifest.children_shown  # type: ignore[attr-defined]
    chosen, digest = None, manifest.digest
    if platforms:
        asked = request.GET.get("platform", "")
        digest = asked if tag_list.names(manifest, asked) else platforms[0].digest
        chosen = Manifest.objects.defer("children", "blobs").filter(image=image, digest=digest).first()
    shown = chosen or manifest
    found, tag = content(shown), context.get("tag")
    names = tag_list.names_of(manifest, _MOST_NAMES + 2)
    others = [one for one in names if tag is None or one != tag.name]
    # For an index the layers of a platform are shown.
    layers = [] if chosen or found is None else [step.media_type for step in found.steps.rows if step.digest]
    name, subject = (tag.name, tag.subject) if tag else ("", "")
    context |= {
        **image_context(request, image, "tags"),
        "manifest": manifest,
        "commands": manifest_commands(image.repository, manifest, name, subject, layers),
        "subject_known": manifest.subject and Manifest.objects.filter(image=image, digest=manifest.subject).exists(),
        "pushed_by": names_of([tag.pushed_by], request.user).get(tag.pushed_by, tag.pushed_by) if tag else "",
        "others": others[:_MOST_NAMES],
        "more_names": len(others) > _MOST_NAMES,
        "platforms": platforms,
        "chosen": chosen,
        "shown": shown,
        "shown_digest": digest,
        "content": found,
        "raw": content(manifest) if chosen else None,
    }
    return page(request, "images/manifest.html", context)


@require_GET
@activated
def part(request: Request, repository: str, digest: str, name: str) -> HttpResponse:
    """One of the lists of a manifest, page by page; the manifest's page shows its beginning."""
    image = own_image(request, repository)
    row = get_object_or_404(Manifest.objects.defer("children", "blobs"), image=image, digest=digest)
    if name not in parts.PARTS:
        raise Http404
    context = {
        **image_context(request, image, "tags"),
        "manifest": row,
        "listing": parts.PARTS[name],
        "rows": parts.part_page(image, row, name, request.GET.get("page", "")),
    }
    return page(request, "images/part.html", context)


@require_GET
@activated
def raw(request: Request, repository: str, digest: str) -> HttpResponse:
    """The manifest's bytes as pushed."""
    image = own_image(request, repository)
    if not Manifest.objects.filter(image=image, digest=digest).exists():
        raise Http404
    document = get_object_or_404(Document, digest=digest)
    response = HttpResponse(bytes(document.content), content_type="application/json")
    name = re.sub(r"[^a-z0-9]+", "-", digest)
    response["Content-Disposition"] = f'attachment; filename="{name}.json"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
