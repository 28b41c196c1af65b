"""Give and take stars."""

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
    """Give the account's star to an image, or take it away. Asking again changes nothing.

    :return: the image as it is now, with ``star_count``, and ``starred`` as ``mark`` sets it.
    :raises ValidationError: when the image is gone, or may no longer be seen by the account.
    """
    with transaction.atomic():
        # Locked, so that no star is given to an image that is made private or removed at the same moment.
        # Without its namespace: read with the lock, that would be as it was before the lock was waited for.
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
    """Whether the account has a star on an image, for a query that finds images."""
    return Exists(Star.objects.filter(account=account, image=OuterRef("pk")))


def mark(account: Account, targets: Iterable[Image | OfficialImage]) -> None:
    """Set ``starred`` on each of these, which are all of one kind: whether the account has a star on it.

    One query, or none when they were found together with that.
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
