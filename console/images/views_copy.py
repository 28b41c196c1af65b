"""Pages for copying a tag."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from console.accounts.requests import Request
from console.images import tags
from console.images.forms import CopyForm
from console.images.views import own_image
from console.registry import copy_requests, copying
from console.repositories.models import Tag
from console.web.activated import activated
from console.web.rendering import add_errors, dialog, go

# Tags that the dialog suggests.
_MOST_SUGGESTED = 100


@require_http_methods(["GET", "POST"])
@activated
def copy(request: Request, repository: str, tag: str) -> HttpResponse:
    """Copy a tag to another tag, or to another image that the account may push to."""
    image = own_image(request, repository)
    source = get_object_or_404(Tag.objects.select_related("manifest", "image__namespace"), image=image, name=tag)
    initial = {"namespace": image.namespace.name, "name": image.name}
    form = CopyForm(request.user, request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            made = copy_requests.copy_tag(
                request.user, source, data["namespace"], data["name"], data["tag"], attached=data["attached"]
            )
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            messages.info(request, _("The copy of “%s” has started. It will appear here when finished.") % tag)
            return go(request, reverse("image-tags", args=[made.image.repository]))
    context = {
        "form": form,
        "image": image,
        "tag": source,
        "known": tags.last_names(image, _MOST_SUGGESTED),
        "attached": len(copying.attachments_of(image, source.manifest.digest))
        + len(copying.untagged_about(image, source.manifest.digest)),
        "section": "images",
    }
    return dialog(request, "images/copy.html", _("Copy"), context, invalid=bool(form.errors))


@require_POST
@activated
def dismiss(request: Request, repository: str, number: int) -> HttpResponse:
    """Dismiss the notice of a failed copy."""
    image = own_image(request, repository, "image.push")
    copying.dismiss(image, number)
    messages.success(request, _("Dismissed the notice."))
    return go(request, reverse("image-tags", args=[repository]))
