"""Retry or dismiss failed work of an image."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from console.accounts.requests import Request
from console.images.views import own_image
from console.registry import retry as retry_work
from console.web.activated import activated
from console.web.rendering import go


@require_POST
@activated
def retry(request: Request, repository: str, number: int) -> HttpResponse:
    """Retry failed work."""
    image = own_image(request, repository, "image.resolve_failure")
    failure = get_object_or_404(retry_work.failures_of(image), pk=number)
    try:
        retry_work.retry(failure, request.user.account_id)
    except ValidationError as problem:
        messages.error(request, " ".join(problem.messages))
    else:
        messages.success(request, _("Trying again now."))
    return go(request, reverse("image-tags", args=[repository]))


@require_POST
@activated
def dismiss(request: Request, repository: str, number: int) -> HttpResponse:
    """Dismiss the notice."""
    image = own_image(request, repository, "image.resolve_failure")
    failure = retry_work.failures_of(image).filter(pk=number).first()
    try:
        if failure is not None:
            retry_work.dismiss(failure)
    except ValidationError as problem:
        messages.error(request, " ".join(problem.messages))
    else:
        messages.success(request, _("Dismissed the notice."))
    return go(request, reverse("image-tags", args=[repository]))
