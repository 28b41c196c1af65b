"""The page about Docker Hub's official images."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_GET

from console import policy
from console.pages.rendering import Request, page, signed_in


@require_GET
@signed_in
def overview(request: Request) -> HttpResponse:
    """How to bring an official image into a namespace of one's own, with the commands filled in."""
    namespaces = list(policy.visible_namespaces(request.user).order_by("name").values_list("name", flat=True))
    return page(request, "dockerhub/overview.html", {"namespaces": namespaces, "section": "docker-hub"})
