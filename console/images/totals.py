"""The totals that lists show, kept on the image's row."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Max, Sum

from console.images.models import Image, Manifest, Tag


def refresh_totals(image_id: int) -> None:
    """Count tags and bytes anew. The row is locked meanwhile, so of two changes at once the last to count sees both.

    The size is that of the manifests that tags name, each digest once.
    """
    with transaction.atomic():
        image = Image.objects.select_for_update(of=("self",)).filter(pk=image_id).first()
        if image is None:
            return
        tags = Tag.objects.filter(image=image)
        image.tag_count = tags.count()
        image.size = (
            Manifest.objects.filter(image=image, pk__in=tags.values("manifest")).aggregate(total=Sum("size"))["total"]
            or 0
        )
        newest = tags.aggregate(newest=Max("pushed_at"))["newest"]
        image.last_push_at = max(filter(None, (newest, image.last_push_at)), default=None)
        image.save(update_fields=["tag_count", "size", "last_push_at"])
