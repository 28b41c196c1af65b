"""Pushes and pulls by day, and storage by image, for charts."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet, Sum
from django.utils import timezone

from console.repositories.models import DailyActivity, Image

DAYS = 30
_MOST_IMAGES = 10


@dataclass(frozen=True)
class Day:
    """Number of pushes and pulls on one day (UTC)."""

    date: datetime.date
    pushes: int
    pulls: int


def last_days(activity: QuerySet[DailyActivity]) -> list[Day]:
    """The last thirty days up to today, including days without activity."""
    today = timezone.now().date()
    first = today - datetime.timedelta(days=DAYS - 1)
    sums = {
        row["day"]: row
        for row in activity.filter(day__gte=first).values("day").annotate(pushed=Sum("pushes"), pulled=Sum("pulls"))
    }
    days = [first + datetime.timedelta(days=number) for number in range(DAYS)]
    return [
        Day(day, sums[day]["pushed"] if day in sums else 0, sums[day]["pulled"] if day in sums else 0) for day in days
    ]


def shown_days(activity: QuerySet[DailyActivity]) -> dict[str, Any]:
    """What ``images/_activity.html`` shows: the last thirty days, and whether anything happened on them."""
    days = last_days(activity)
    return {"days": days, "any_activity": any(day.pushes or day.pulls for day in days)}


@dataclass(frozen=True)
class Share:
    """An image's share of the storage; ``image`` is ``None`` for all others together."""

    image: Image | None
    size: int
    percent: float
    others: int = 0


def storage_shares(images: QuerySet[Image]) -> list[Share]:
    """The largest images, and the rest as one; always two queries."""
    largest = list(images.filter(size__gt=0).select_related("namespace").order_by("-size", "name")[: _MOST_IMAGES + 1])
    if not largest:
        return []
    shown, others = largest, 0
    total = images.aggregate(total=Sum("size"))["total"] or 0
    if len(largest) > _MOST_IMAGES:
        shown = largest[:_MOST_IMAGES]
        others = images.filter(size__gt=0).count() - len(shown)
    top = max(shown[0].size, 1)
    rest = total - sum(image.size for image in shown)
    shares = [Share(image, image.size, image.size * 100 / top) for image in shown]
    return [*shares, Share(None, rest, min(100.0, rest * 100 / top), others)] if others else shares
