"""Pages for imports, and for copies of official images."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from console.access import rules
from console.accounts.models import Account
from console.accounts.requests import Request
from console.imports import services
from console.imports.forms import ImportForm, OfficialCopyForm
from console.imports.models import Transfer
from console.official_images.models import OfficialTag
from console.repositories.models import Image
from console.repositories.rights import refusal as refuse
from console.web.activated import activated
from console.web.rendering import add_errors, dialog, go


@require_http_methods(["GET", "POST"])
@activated
def official(request: Request, name: str, tag: str) -> HttpResponse:
    """Copy an official image to an own or shared image. The page uses stored data; it does not call Docker Hub."""
    form = OfficialCopyForm(
        request.user, _platforms_known(name, tag), request.POST or None, initial={"name": name, "tag": tag}
    )
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            made = services.copy_official(
                request.user, name, tag, data["namespace"], data["name"], data["tag"], data["platforms"]
            )
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            return _begun(request, made)
    context = {
        "form": form,
        "name": name,
        "tag": tag,
        "refusal": rules.refuse_docker_hub(),
        "section": "docker-hub",
    }
    return dialog(request, "transfers/official.html", _("Copy to my namespace"), context, invalid=bool(form.errors))


def _platforms_known(name: str, tag: str) -> list[str]:
    row = OfficialTag.objects.filter(image__name=name, name=tag).first()
    # A Windows platform is listed with its version, which cannot be selected.
    names = [str(one.get("name", "")).partition(" ")[0] for one in row.platforms] if row else []
    return list(dict.fromkeys(one for one in names if one and not one.startswith("unknown")))


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
@activated
def importing(request: Request) -> HttpResponse:
    """Import an image from any registry. The URL may contain the image reference."""
    given = {
        key: request.GET[key] for key in ("reference", "namespace", "name", "tag", "platforms") if key in request.GET
    }
    form = ImportForm(request.user, request.POST or None, initial=given)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            made = services.import_image(
                request.user,
                data["reference"],
                data["namespace"],
                data["name"],
                data["tag"],
                data["platforms"],
                data["login"],
            )
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            return _begun(request, made)
    context = {"form": form, "section": "images"}
    return dialog(request, "transfers/import.html", _("Import"), context, invalid=bool(form.errors))


def _begun(request: Request, made: Transfer) -> HttpResponse:
    # Not "success", because the copy has only started.
    messages.info(request, _("The copy of “%s” has started. It will appear here when finished.") % made.origin)
    return go(request, reverse("image-tags", args=[made.image.repository]))


@require_POST
@activated
def cancel(request: Request, repository: str, number: int) -> HttpResponse:
    """Cancel a running copy."""
    return _done(request, repository, number, services.cancel, _("Cancelled the copy."))


@require_POST
@activated
def retry(request: Request, repository: str, number: int) -> HttpResponse:
    """Retry a failed or cancelled copy."""
    return _done(request, repository, number, services.retry, _("Trying again now."))


@require_POST
@activated
def dismiss(request: Request, repository: str, number: int) -> HttpResponse:
    """Dismiss the notice of a failed or cancelled copy."""
    return _done(request, repository, number, services.dismiss, _("Dismissed the notice."))


def _done(
    request: Request, repository: str, number: int, verb: Callable[[Account, Transfer], object], notice: str
) -> HttpResponse:
    own = Image.objects.visible_to(request.user).filter(full_name=repository)
    transfers = Transfer.objects.select_related("image__namespace__owner")
    transfer = get_object_or_404(transfers, image__in=own, pk=number)
    if refusal := refuse(request.user, "image.push", transfer.image):
        raise PermissionDenied(refusal)
    try:
        verb(request.user, transfer)
    except ValidationError as problem:
        messages.error(request, " ".join(problem.messages))
    else:
        messages.success(request, notice)
    return go(request, reverse("image-tags", args=[repository]))
