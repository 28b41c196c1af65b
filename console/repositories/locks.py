"""Row locks in a fixed order, against deadlocks: namespace, image, then rows of the image."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from console.repositories.models import Image


@contextmanager
def image_locked(image_id: int) -> Iterator[None]:
    """A transaction that locks the image's row: changes of several rows of an image could deadlock otherwise."""
    with transaction.atomic():
        Image.objects.select_for_update(of=("self",)).filter(pk=image_id).order_by().values_list("pk").first()
        yield


def lock_images(image_ids: Collection[int], **only: Any) -> set[int]:
    """Lock the rows of images in the order of primary keys, until the end of the caller's transaction.

    :param only: further conditions, such as ``state="active"``.
    :return: the primary keys of the locked rows; the others do not exist or do not meet the conditions.
    """
    rows = Image.objects.select_for_update(of=("self",)).filter(pk__in=image_ids, **only)
    return set(rows.order_by("pk").values_list("pk", flat=True))
