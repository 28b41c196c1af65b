"""Pages that create, edit and delete images, and delete tags."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods
from django_htmx.http import retarget, trigger_client_event

from console.accounts.requests import Request
from console.images.attached import number_attached
from console.images.forms import DescriptionForm, ImageForm, VisibilityForm
from console.images.views import image_context, own_image
from console.repositories import quotas, services
from console.repositories.models import Image, Tag
from console.repositories.rights import refusal
from console.web.activated import activated
from console.web.rendering import add_errors, came_from, dialog, go, page, refuse_typed
from console.web.templatetags.console import number, size

# Deleting more tags requires typing the name.
MOST_WITHOUT_TYPING = 10
_MOST_AT_ONCE = 100
_MOST_NAMED = 20


@require_http_methods(["GET", "POST"])
@activated
def create(request: Request) -> HttpResponse:
    """Create an image."""
    form = ImageForm(request.user, request.POST or None, initial={"namespace": request.GET.get("namespace")})
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            image = services.create_image(
                request.user, data["namespace"], data["name"], data["visibility"], data["description"]
            )
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            messages.success(request, _("Created the image “%s”. Push to it with these commands.") % image)
            return go(request, reverse("image-commands", args=[image.repository]))
    context = {
        "form": form,
        "refusal": _no_room(request, form),
        "has_namespaces": form.fields["namespace"].queryset.exists(),  # type: ignore[attr-defined]
        "section": "images",
    }
    return dialog(request, "images/create.html", _("Create Image"), context, invalid=bool(form.errors))


def _no_room(request: Request, form: ImageForm) -> str:
    """Why no image can be created: the quota of the namespace's owner, or nothing.

    Without a chosen namespace, nothing while one of somebody else could be chosen: the form says it then.
    """
    namespaces = form.fields["namespace"].queryset  # type: ignore[attr-defined]
    chosen = request.GET.get("namespace", "").replace("\x00", "")
    namespace = namespaces.select_related("owner").filter(name=chosen).first() if chosen else None
    if namespace is not None:
        return quotas.refuse_image(namespace.owner, own=namespace.owner_id == request.user.pk)
    refusal = quotas.refuse_image(request.user)
    return "" if refusal and namespaces.exclude(owner=request.user).exists() else refusal


@require_http_methods(["GET", "POST"])
@activated
def describe(request: Request, repository: str) -> HttpResponse:
    """Edit the description in place, with a preview; without JavaScript on a separate page."""
    image = own_image(request, repository, "image.edit")
    form = DescriptionForm(request.POST or None, initial={"description": image.description})
    form.fields["description"].widget.attrs |= {"autofocus": True, "rows": 16}
    context = {**image_context(request, image, "overview"), "form": form}
    if request.method == "POST" and form.is_valid():
        if "preview" in request.POST:
            context["preview"] = form.cleaned_data["description"]
            response = page(
                request, "images/describe.html", context, part="preview", partial="images/_description_preview.html"
            )
            return trigger_client_event(response, "announce", {"text": _("The preview is below the text.")})
        _save_description(request, image, form.cleaned_data["description"])
        if not request.htmx:
            messages.success(request, _("Saved the description."))
            return go(request, reverse("image", args=[image.repository]))
        response = page(request, "images/_description.html", {**context, "form": None, "focus": True})
        return trigger_client_event(response, "announce", {"text": _("Saved the description.")})
    # What is wrong stands at the field, also when it is the preview that was asked for.
    part = "preview" if request.htmx.target == "preview" else "description"
    response = page(
        request,
        "images/describe.html",
        context,
        part=part,
        partial="images/_description.html",
        status=422 if form.errors else 200,
    )
    return retarget(response, "#description") if part == "preview" else response


def _save_description(request: Request, image: Image, description: str) -> None:
    try:
        services.update_image(request.user, image, description=description)
    except ValidationError as problem:  # the role was taken away after the page's own check
        raise PermissionDenied(" ".join(problem.messages)) from None


@require_http_methods(["GET", "POST"])
@activated
def visibility(request: Request, repository: str) -> HttpResponse:
    """Change the image's visibility; the dialog explains it."""
    image = own_image(request, repository, "image.edit")
    other = Image.Visibility.PRIVATE if image.visibility == Image.Visibility.PUBLIC else Image.Visibility.PUBLIC
    form = VisibilityForm(request.POST or None, initial={"visibility": other})
    if request.method == "POST" and form.is_valid():
        try:
            services.set_visibility(request.user, image, form.cleaned_data["visibility"])
        except ValidationError as problem:  # the role was taken away after the check above
            raise PermissionDenied(" ".join(problem.messages)) from None
        messages.success(
            request,
            _("The image is now public: anyone can pull it.")
            if image.visibility == Image.Visibility.PUBLIC
            else _("The image is now private: only people with a role can pull it."),
        )
        settings_page = reverse("image-settings", args=[image.repository])
        return go(request, came_from(request, settings_page, reverse("images"), *_lists([image])))
    context = {"form": form, "image": image, "other": other, "section": "images"}
    return dialog(
        request,
        "images/visibility.html",
        _("Make public") if other == Image.Visibility.PUBLIC else _("Make private"),
        context,
        invalid=bool(form.errors),
    )


def _deletion_dialog(request: Request, images: list[Image], problem: str) -> HttpResponse:
    tags = sum(image.tag_count for image in images)
    context: dict[str, Any] = {
        "images": images,
        "tags": tags,
        "bytes": sum(image.size for image in images),
        "to_type": _to_type(images),
        "counted": len(images) > 1,
        "problem": problem,
        "section": "images",
    }
    return dialog(request, "images/delete.html", _("Delete Image Repository"), context, invalid=bool(problem))


def _to_type(images: list[Image]) -> str:
    """The text to type before these are deleted: the image's name, or their number; empty if there are few tags."""
    if sum(image.tag_count for image in images) <= MOST_WITHOUT_TYPING:
        return ""
    return images[0].name if len(images) == 1 else str(len(images))


def _delete(request: Request, images: list[Image]) -> HttpResponse:
    to_type = _to_type(images)
    if request.method != "POST":
        return _deletion_dialog(request, images, "")
    if refusal := refuse_typed(request, to_type, *([images[0].repository] if len(images) == 1 else [])):
        return _deletion_dialog(request, images, refusal)
    try:
        for image in images:
            services.mark_image_for_deletion(request.user, image)
    except ValidationError as problem:
        return _deletion_dialog(request, images, " ".join(problem.messages))
    messages.success(request, _deleting(images))
    return go(request, came_from(request, reverse("images"), *_lists(images)))


def _deleting(images: list[Image]) -> str:
    """The notice that these are being deleted, with what that deletes."""
    tags = sum(image.tag_count for image in images)
    if len(images) == 1:
        what = images[0].repository
    else:
        what = ngettext("%(number)s image", "%(number)s images", len(images)) % {"number": number(len(images))}
    text = ngettext(
        "Deleting %(what)s, %(number)s tag, %(storage)s.", "Deleting %(what)s, %(number)s tags, %(storage)s.", tags
    )
    return text % {"what": what, "number": number(tags), "storage": size(sum(image.size for image in images))}


def _lists(images: list[Image]) -> list[str]:
    """The pages of namespaces that show these images."""
    return [reverse("namespace", args=[name]) for name in {image.namespace.name for image in images}]


@require_http_methods(["GET", "POST"])
@activated
def delete(request: Request, repository: str) -> HttpResponse:
    """Delete Image Repository: starts the deletion of all tags of the image."""
    return _delete(request, [own_image(request, repository, "image.delete")])


@require_http_methods(["GET", "POST"])
@activated
def delete_many(request: Request) -> HttpResponse:
    """Delete the selected images."""
    ticked = (request.POST if request.method == "POST" else request.GET).getlist("image")[:_MOST_AT_ONCE]
    numbers = {int(key) for key in ticked if key.isascii() and key.isdigit() and len(key) < 19}
    visible = Image.objects.visible_to(request.user).select_related("namespace__owner").filter(pk__in=numbers)
    images = list(
        Image.objects.allowing(request.user, "image.delete")
        .select_related("namespace__owner")
        .filter(pk__in=numbers, state=Image.State.ACTIVE)
        .order_by("namespace__name", "name")
    )
    if not images and (kept := visible.filter(state=Image.State.ACTIVE).order_by("full_name").first()):
        raise PermissionDenied(refusal(request.user, "image.delete", kept))
    if not images:
        messages.info(request, _("Select the images to delete first."))
        return go(request, reverse("images"))
    return _delete(request, images)


@require_http_methods(["GET", "POST"])
@activated
def tags_delete(request: Request, repository: str) -> HttpResponse:
    """Delete tags; the dialog lists the other tags of the same digests, which are not deleted."""
    image = own_image(request, repository, "image.delete")
    names = (request.POST if request.method == "POST" else request.GET).getlist("tag")
    tags = list(
        Tag.objects.filter(image=image, name__in=[name for name in names if "\x00" not in name])
        .select_related("manifest")
        # The deferred columns can be megabytes each, and are counted in the database.
        .defer("manifest__children", "manifest__blobs", "manifest__platforms")
        .order_by("sort_key")
    )
    if not tags:
        if request.method == "GET" and not names:
            messages.info(request, _("Select the tags to delete first."))
            return go(request, reverse("image-tags", args=[repository]))
        raise Http404
    to_type = image.name if len(tags) > MOST_WITHOUT_TYPING else ""
    problem = ""
    if request.method == "POST":
        problem = refuse_typed(request, to_type, image.repository) or _mark_tags(request, image, tags)
        if not problem:
            return go(request, came_from(request, reverse("image-tags", args=[repository])))
    going_names = {tag.name for tag in tags}
    staying = Tag.objects.filter(image=image, manifest__in=[tag.manifest_id for tag in tags]).exclude(
        name__in=going_names
    )
    still_tagged = set(staying.order_by().values_list("manifest_id", flat=True).distinct())
    total = staying.count()
    gone = [tag.manifest for tag in tags if tag.manifest_id not in still_tagged]
    context = {
        "image": image,
        "tags": tags,
        "staying": list(staying.order_by("sort_key").values_list("name", flat=True)[:_MOST_NAMED]),
        "unnamed": max(total - _MOST_NAMED, 0),
        "attached": number_attached(image, gone, going_names),
        "to_type": to_type,
        "counted": False,
        "problem": problem,
        "section": "images",
    }
    return dialog(request, "images/tags_delete.html", _("Delete tags"), context, invalid=bool(problem))


def _mark_tags(request: Request, image: Image, tags: list[Tag]) -> str:
    """Mark tags for deletion, with a notice; returns why not, or nothing."""
    try:
        going = services.mark_tags_for_deletion(request.user, image, [tag.name for tag in tags])
    except ValidationError as error:
        return " ".join(error.messages)
    text = ngettext("Deleting %(count)s tag of %(image)s.", "Deleting %(count)s tags of %(image)s.", len(going))
    messages.success(request, text % {"count": number(len(going)), "image": image.repository})
    return ""
