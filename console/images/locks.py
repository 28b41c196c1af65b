"""The order in which rows are locked: namespace, image, then whatever belongs to the image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from console.images.models import Image


@contextmanager
def image_locked(image_id: int) -> Iterator[None]:
    """A transaction that changes several rows of an image: one at a time, or two could wait for each other for ever."""
    with transaction.atomic():
        Image.objects.select_for_update(of=("self",)).filter(pk=image_id).order_by().values_list("pk").first()
        yield
