"""Images, tags, deletions, copies and failed work in the administration."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Count, F, QuerySet, Sum
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from console.accounts.models import Account
from console.registry import retry
from console.repositories.models import Copy, Image, ImageDeletion, Manifest, Tag, WorkFailure
from console.repositories.services import queue_image_deletion, queue_tag_deletion
from console.web.admin_base import ReadOnlyAdmin
from console.web.admin_columns import GivenFilter, text
from console.web.admin_questions import asks
from console.web.admin_related import OfRow, Related
from console.web.templatetags.console import number, short_digest, size


def _images_going(images: QuerySet[Image]) -> str:
    # Attached tags are deleted too.
    tags = Sum(F("tag_count") + F("attachment_count"))
    found = images.aggregate(images=Count("pk"), tags=tags, bytes=Sum("size"))
    text = ngettext(
        "%(images)s image with %(tags)s tags, %(size)s, is deleted. It cannot be recovered.",
        "%(images)s images with %(tags)s tags, %(size)s, are deleted. They cannot be recovered.",
        found["images"],
    )
    sizes = {"tags": number(found["tags"] or 0), "size": size(int(found["bytes"] or 0))}
    return text % {"images": number(found["images"]), **sizes}


def _tags_going(tags: QuerySet[Tag]) -> str:
    count = tags.count()
    # What other tags share stays.
    manifests = Manifest.objects.filter(pk__in=tags.order_by().values("manifest"))
    most = manifests.aggregate(bytes=Sum("size"))["bytes"]
    text = ngettext(
        "%(count)s tag is deleted, with up to %(size)s. It cannot be recovered.",
        "%(count)s tags are deleted, with up to %(size)s. They cannot be recovered.",
        count,
    )
    return text % {"count": number(count), "size": size(int(most or 0))}


def _account_id(request: HttpRequest) -> str:
    return request.user.account_id if isinstance(request.user, Account) else ""


@admin.register(Image)
class ImageAdmin(ReadOnlyAdmin):
    list_display = (
        "repository",
        "owner",
        "visibility",
        "state",
        "tag_count",
        "size",
        "pull_count",
        "last_push_at",
        "created_at",
    )
    sizes = ("size",)
    fields = (
        "repository",
        "namespace",
        "owner",
        "visibility",
        "described",
        "state",
        "tag_count",
        "attachment_count",
        "size",
        "pull_count",
        "star_count",
        "last_push_at",
        "last_pull_at",
        "created_at",
    )
    list_filter = ("visibility", "state", ("owner", OfRow), ("namespace", OfRow))
    related = (
        Related("images.tag", "image"),
        Related("transfers.transfer", "image"),
        Related("images.copy", "image"),
    )
    list_select_related = ("namespace", "owner")
    search_fields = ("name", "namespace__name", "namespace__owner__account_id")
    search_help_text = _("Search by image, namespace or owner’s Account ID")
    actions = ("delete_with_all_tags",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Django offers actions only with the change permission; the form itself is read-only.
        return bool(request.user.has_perm("images.delete_image"))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields

    def audited_as(self, obj: Image) -> str:
        return obj.repository

    @admin.display(description=_("description"))
    def described(self, image: Image) -> str:
        """The first line, and the rest on demand."""
        first, whole = image.summary, image.description.strip()
        if not whole or whole == first:
            return first or "–"
        return format_html("{}<details><summary>{}</summary><pre>{}</pre></details>", first, _("Show all"), whole)

    @admin.display(description=_("image"), ordering="full_name")
    def repository(self, image: Image) -> str:
        return text(image.repository)

    @admin.action(description=_("Delete with all tags (in the background)"), permissions=["change"])
    @asks(_("Delete images with all tags"), _("Delete"), _images_going)
    def delete_with_all_tags(self, request: HttpRequest, queryset: QuerySet[Image]) -> None:
        images = list(queryset.select_related("namespace"))
        for image in images:
            queue_image_deletion(image, _account_id(request))
        text = ngettext(
            "Deleting %(count)s image with all tags. The list shows it until that is finished.",
            "Deleting %(count)s images with all tags. The list shows them until that is finished.",
            len(images),
        )
        messages.success(request, text % {"count": number(len(images))})


@admin.register(Tag)
class TagAdmin(ReadOnlyAdmin):
    list_display = ("named", "image", "digest", "pushed_at", "pushed_by", "pull_count", "state")
    list_filter = (("image", OfRow),)
    list_select_related = ("image__namespace", "manifest")
    search_fields = ("name", "image__name", "image__namespace__name", "=manifest__digest")
    search_help_text = _("Search by tag, image, namespace or whole digest")
    actions = ("delete_tags",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("images.delete_tag"))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [field.name for field in self.model._meta.fields if field.name not in {"id", "sort_key"}]

    def audited_as(self, obj: Tag) -> str:
        return str(obj)

    @admin.display(description=_("name"), ordering="sort_key")
    def named(self, tag: Tag) -> str:
        return text(tag.name)

    @admin.display(description=_("digest"))
    def digest(self, tag: Tag) -> str:
        return format_html('<code title="{}">{}</code>', tag.manifest.digest, short_digest(tag.manifest.digest))

    @admin.action(description=_("Delete tags (in the background)"), permissions=["change"])
    @asks(_("Delete tags"), _("Delete"), _tags_going)
    def delete_tags(self, request: HttpRequest, queryset: QuerySet[Tag]) -> None:
        by_image: dict[int, list[str]] = {}
        for image_id, name in queryset.values_list("image_id", "name"):
            by_image.setdefault(image_id, []).append(name)
        for image in Image.objects.select_related("namespace").filter(pk__in=by_image):
            try:
                queue_tag_deletion(image, by_image[image.pk], _account_id(request))
            except ValidationError as problem:
                messages.error(request, f"{image}: {' '.join(problem.messages)}")
            else:
                count = len(by_image[image.pk])
                text = ngettext("Deleting %(count)s tag of %(image)s.", "Deleting %(count)s tags of %(image)s.", count)
                messages.success(request, text % {"count": number(count), "image": image})


@admin.register(ImageDeletion)
class ImageDeletionAdmin(ReadOnlyAdmin):
    list_display = ("image", "phase", "done", "total", "problem", "requested_by", "requested_at")
    list_filter = ("phase",)
    list_select_related = ("image__namespace",)
    search_fields = ("image__full_name", "=requested_by")
    search_help_text = _("Search by image or Account ID")

    def audited_as(self, obj: ImageDeletion) -> str:
        return obj.image.repository

    def heading(self, obj: ImageDeletion) -> str:
        return gettext("Deletion of %s") % obj.image


@admin.register(Copy)
class CopyAdmin(ReadOnlyAdmin):
    list_display = ("target", "image", "source", "state", "problem", "requested_by", "requested_at")
    list_filter = ("state", ("image", OfRow))
    list_select_related = ("image__namespace",)
    search_fields = ("image__full_name", "tag", "source", "=requested_by")
    search_help_text = _("Search by image, tag, source or Account ID")

    def heading(self, obj: Copy) -> str:
        return gettext("Copy to %(image)s:%(tag)s") % {"image": obj.image, "tag": obj.tag}

    def audited_as(self, obj: Copy) -> str:
        return f"{obj.image.repository}:{obj.tag}"

    @admin.display(description=_("tag"), ordering="tag")
    def target(self, copy: Copy) -> str:
        return text(copy.tag)


@admin.register(WorkFailure)
class WorkFailureAdmin(ReadOnlyAdmin):
    """Failed background work of all kinds."""

    list_display = ("kind", "repository", "reference", "sentence", "detail", "tries", "last_at", "given_up_at")
    list_filter = ("kind", ("given_up_at", GivenFilter))
    search_fields = ("repository", "=reference")
    search_help_text = _("Search by repository, or whole tag or digest")
    actions = ("try_again", "forget")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("images.delete_image"))

    def actions_of(self, request: HttpRequest, obj: WorkFailure) -> Collection[str]:
        missing = set() if obj.kind in retry.RETRYABLE else {"try_again"}
        return set(super().actions_of(request, obj)) - missing

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [field.name for field in self.model._meta.fields if field.name != "id"]

    def audited_as(self, obj: WorkFailure) -> str:
        return str(obj)

    @admin.action(description=_("Retry"), permissions=["change"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[WorkFailure]) -> None:
        for failure in queryset:
            try:
                retry.retry(failure, _account_id(request))
            except ValidationError as problem:
                messages.error(request, f"{failure}: {' '.join(problem.messages)}")
            else:
                messages.success(request, _("Retrying %s.") % failure)

    @admin.action(description=_("Dismiss"), permissions=["change"])
    def forget(self, request: HttpRequest, queryset: QuerySet[WorkFailure]) -> None:
        dismissed = list(queryset)
        for failure in dismissed:
            retry.dismiss(failure)
        text = ngettext("Dismissed %(count)s problem.", "Dismissed %(count)s problems.", len(dismissed))
        messages.success(request, text % {"count": number(len(dismissed))})
