"""Create and change images; mark images and tags for deletion."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from procrastinate.contrib.django import app

from console.accounts.models import Account
from console.audit.services import named, record
from console.database.conflicts import insert
from console.jobs.queue import repository_lock
from console.namespaces.models import Namespace
from console.repositories import failures, quotas
from console.repositories.failures import Kind
from console.repositories.fairness import priority_of
from console.repositories.models import Image, ImageDeletion, Tag
from console.repositories.rights import refusal as refusal_of
from console.repositories.rights import refuse_visibility, require
from console.web.excerpts import shorten
from registry_client.names import check_tag

# By name: the jobs import this room, not the reverse.
_DELETE_IMAGE, _DELETE_TAGS = "images.delete_image", "images.delete_tags"
# Characters of a description in an audit event.
_MOST_RECORDED = 1000
# Images that an error message names.
_MOST_NAMED = 5


def create_image(
    account: Account,
    namespace: Namespace,
    name: str,
    visibility: str = Image.Visibility.PRIVATE,
    description: str = "",
) -> Image:
    """Create an image without content.

    :raises ValidationError: keyed by field; ``code`` is ``taken`` or ``quota`` where it is one of these.
    """
    if refusal := refusal_of(account, "image.create", namespace):
        raise ValidationError({"namespace": single_images_of(account, namespace) or refusal})
    if refusal := refuse_visibility(account, namespace, visibility):
        raise ValidationError({"visibility": refusal})
    image = Image(namespace=namespace, name=name.strip(), visibility=visibility, description=description)
    image.clean_fields(exclude=["namespace"])
    with transaction.atomic():
        # The image counts towards the quota of the namespace's owner. One creator at a time for an owner: otherwise two
        # could exceed the quota (race).
        owner = Account.objects.select_for_update(no_key=True).get(pk=namespace.owner_id)
        if refusal := quotas.refuse_image(owner, own=owner.pk == account.pk):
            raise ValidationError(ValidationError(refusal, code="quota"))
        # Locked, so that it is still there when this is committed.
        if not Namespace.objects.select_for_update(no_key=True).filter(pk=namespace.pk):
            raise ValidationError(_("The namespace no longer exists. Reload the page and choose another."))
        if not insert(image):
            refusal = refuse_existing(namespace, image.name)
            raise ValidationError({"name": ValidationError(refusal, code="taken")})
        record("image.create", image.repository, type=visibility, description=_recorded(description))
    return image


def single_images_of(account: Account, namespace: Namespace) -> str:
    """Error message for a new image where the account may push to single images only; empty if to none."""
    images = Image.objects.allowing(account, "image.push").filter(namespace=namespace)
    names = list(images.order_by("name").values_list("full_name", flat=True)[: _MOST_NAMED + 1])
    if not names:
        return ""
    shown = ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")
    return _("In %(namespace)s you can push to these images only: %(images)s.") % {
        "namespace": namespace.name,
        "images": shown,
    }


def refuse_existing(namespace: Namespace, name: str) -> str:
    """Error message if the namespace already has an image of this name; empty if not."""
    existing = Image.objects.filter(namespace=namespace, name=name).first()
    if existing is None:
        return ""
    if existing.state == Image.State.DELETING:
        sentence = _("The image “%s” is still being deleted. Create it again when the deletion is finished.")
    else:
        sentence = _("The image “%s” already exists.")
    return sentence % f"{namespace.name}/{name}"


def check_tag_name(tag: str) -> None:
    """Validate a tag's name by the registry's rules.

    :raises ValidationError: when it is invalid.
    """
    try:
        check_tag(tag)
    except ValueError:
        raise ValidationError(
            _("Use up to 128 letters, digits, “.”, “_” or “-”, beginning with a letter, digit or “_”.")
        ) from None


def update_image(account: Account, image: Image, *, description: str) -> None:
    """Change the image's description.

    :raises ValidationError: keyed ``description``.
    """
    require(account, "image.edit", image)
    image.description = description
    image.clean_fields(exclude=["namespace"])
    with transaction.atomic():
        rows = Image.objects.select_for_update(of=("self",)).filter(pk=image.pk)
        old = rows.order_by().values_list("description", flat=True).first()
        image.save(update_fields=["description", "summary"])
        if old != description:
            record("image.describe", image.repository, old=_recorded(old or ""), new=_recorded(description))


def _recorded(description: str) -> str:
    """As much of a description as an audit event has."""
    return shorten(description, _MOST_RECORDED)


def set_visibility(account: Account, image: Image, visibility: str) -> None:
    """Make the image public or private. Tokens for anonymous pulls that were issued before stay valid for minutes.

    :raises ValidationError: for a value other than ``public`` and ``private``, or without the role for it.
    """
    require(account, "image.edit", image)
    if visibility not in Image.Visibility.values:
        raise ValidationError(_("Please choose Public or Private."))
    with transaction.atomic():
        locked = Image.objects.select_for_update(of=("self",)).get(pk=image.pk)
        old = locked.visibility
        if old != visibility:
            locked.visibility, locked.changed_at = visibility, timezone.now()
            locked.save(update_fields=["visibility", "changed_at"])
            record("image.visibility", image.repository, old=old, new=visibility)
    image.visibility = visibility


def mark_image_for_deletion(account: Account, image: Image) -> ImageDeletion:
    """Mark an image for deletion with all its tags: nobody gets a token for it from now on, and a job deletes it.

    Idempotent while the deletion runs.

    :raises ValidationError: when the account's role does not allow it.
    """
    require(account, "image.delete", image)
    return queue_image_deletion(image, account.account_id)


def queue_image_deletion(image: Image, requested_by: str) -> ImageDeletion:
    """Mark an image for deletion and queue the job, in one transaction. The caller has checked the right to do it.

    :param requested_by: the Account ID of the person.
    :raises ValidationError: when the image is already gone.
    """
    with transaction.atomic():
        locked = Image.objects.select_for_update(of=("self",)).select_related("namespace").filter(pk=image.pk).first()
        if locked is None:
            raise ValidationError(_("The image has already been deleted."))
        deletion, created = ImageDeletion.objects.get_or_create(image=locked, defaults={"requested_by": requested_by})
        if created:
            locked.state = Image.State.DELETING
            locked.changed_at = timezone.now()
            locked.save(update_fields=["state", "changed_at"])
            failures.forget(Kind.DELETE_IMAGE, locked.repository)
            lock, priority = repository_lock(locked.repository), priority_of(locked)
            app.configure_task(_DELETE_IMAGE, lock=lock, priority=priority).defer(image_id=locked.pk)
            record(
                "image.delete",
                locked.repository,
                actor=requested_by,
                tags=locked.tag_count,
                bytes=locked.size,
            )
    image.refresh_from_db()
    return deletion


def mark_tags_for_deletion(account: Account, image: Image, names: Iterable[str]) -> list[str]:
    """Mark tags for deletion; other tags of the same digests stay, and a job deletes what is marked.

    :return: the names that are marked now.
    :raises ValidationError: when none of them is there, or the image is being deleted as a whole.
    """
    require(account, "image.delete", image)
    return queue_tag_deletion(image, names, account.account_id)


def queue_tag_deletion(image: Image, names: Iterable[str], requested_by: str) -> list[str]:
    """Mark tags for deletion and queue the job, in one transaction. The caller has checked the right to do it.

    :param requested_by: the Account ID of the person.
    :return: the names that are marked now.
    :raises ValidationError: when none of them is there, or the image is being deleted as a whole.
    """
    with transaction.atomic():
        locked = Image.objects.select_for_update(of=("self",)).select_related("namespace").get(pk=image.pk)
        if locked.state != Image.State.ACTIVE:
            raise ValidationError(_("The image is being deleted with all its tags."))
        found = list(
            Tag.objects.select_for_update()
            .filter(image=locked, name__in=set(names), state=Tag.State.ACTIVE)
            .order_by("name")
            .values_list("name", flat=True)
        )
        if not found:
            raise ValidationError(
                ngettext("The tag no longer exists.", "None of these tags exist any more.", len(set(names)))
            )
        now = timezone.now()
        tags = Tag.objects.filter(image=locked, name__in=found)
        tags.update(state=Tag.State.DELETING, deleting_since=now, problem="")
        failures.forget(Kind.DELETE_TAGS, locked.repository)
        Image.objects.filter(pk=locked.pk).update(changed_at=now)
        lock, priority = repository_lock(locked.repository), priority_of(locked)
        app.configure_task(_DELETE_TAGS, lock=lock, priority=priority).defer(image_id=locked.pk)
        record("tag.delete", locked.repository, actor=requested_by, **named(found))
    return found
