"""The first page, My Images: the list of images, or the activation form until the service is activated."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_GET

from console.accounts.requests import Request
from console.activation.views import activation_page
from console.images import views
from console.web.rendering import signed_in


@require_GET
@signed_in
def my_images(request: Request) -> HttpResponse:
    """The list of images; until the service is activated, the activation form."""
    return views.listing(request) if request.user.activated else activation_page(request)
