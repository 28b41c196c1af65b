"""Add and remove stars."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from console.accounts.models import Account
from console.official_images.models import OfficialImage
from console.repositories.models import Image
from console.stars.models import Star


def set_star(account: Account, target: Image | OfficialImage, on: bool) -> Image | OfficialImage:
    """Add or remove the account's star on an image. Idempotent.

    :return: the image as it is now, with ``star_count``, and ``starred`` as set by ``mark``.
    :raises ValidationError: when the image does not exist any more, or the account may not see it any more.
    """
    with transaction.atomic():
        # Locked, against a race with making the image private or deleting it. Without its namespace in the same query:
        # its row would be as of before waiting for the lock.
        rows = Image.objects.all() if isinstance(target, Image) else OfficialImage.objects.all()
        locked = rows.select_for_update(of=("self",), no_key=True).filter(pk=target.pk).first()
        if locked is None:
            raise ValidationError(_("The image no longer exists."))
        if not on:
            _stars_on(locked).filter(account=account).delete()
        elif account.may("image.star", locked):
            Star.objects.bulk_create([Star(account=account, **_field_of(locked))], ignore_conflicts=True)
        else:
            raise ValidationError(_("You no longer have access to this image, or it is being deleted."))
        locked.refresh_from_db(fields=["star_count"])
    locked.starred = on  # type: ignore[union-attr]
    return locked


def starred_by(account: Account) -> Exists:
    """Subquery for images: whether the account has a star on it."""
    return Exists(Star.objects.filter(account=account, image=OuterRef("pk")))


def mark(account: Account, targets: Iterable[Image | OfficialImage]) -> None:
    """Set ``starred`` on each of these images, which are all of one model: whether the account has a star on it.

    One query; none if they were queried with ``starred_by``.
    """
    targets = [target for target in targets if not hasattr(target, "starred")]
    if not targets:
        return
    field = "official_image_id" if targets and isinstance(targets[0], OfficialImage) else "image_id"
    keys = [target.pk for target in targets]
    starred = set(Star.objects.filter(account=account, **{f"{field}__in": keys}).values_list(field, flat=True))
    for target in targets:
        target.starred = target.pk in starred  # type: ignore[union-attr]


def _field_of(target: Image | OfficialImage) -> dict[str, Image | OfficialImage]:
    return {"image" if isinstance(target, Image) else "official_image": target}


def _stars_on(target: Image | OfficialImage) -> QuerySet[Star]:
    return Star.objects.filter(**_field_of(target))
