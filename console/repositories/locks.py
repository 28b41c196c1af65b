"""Row locks, in one order: namespace, image, then rows of the image. Prevents deadlocks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from console.repositories.models import Image


@contextmanager
def image_locked(image_id: int) -> Iterator[None]:
    """A transaction that changes several rows of an image: one at a time, or two could wait for each other for ever."""
    with transaction.atomic():
        Image.objects.select_for_update(of=("self",)).filter(pk=image_id).order_by().values_list("pk").first()
        yield


def lock_images(image_ids: Collection[int], **only: Any) -> set[int]:
    """Lock those of these images that are there, until the caller's transaction ends; which they are.

    In one order, as everybody does who locks more than one.

    :param only: what else they must be, like ``state="active"``.
    """
    rows = Image.objects.select_for_update(of=("self",)).filter(pk__in=image_ids, **only)
    return set(rows.order_by("pk").values_list("pk", flat=True))
