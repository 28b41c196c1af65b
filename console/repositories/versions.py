"""Version of a list: a few bytes that an open page polls, and that change when the list does."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet

from console.accounts.models import Account
from console.database.compiled import Compiled
from console.namespaces.models import Namespace
from console.repositories.models import Image

_NEVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)


def _text(moment: datetime.datetime) -> str:
    return moment.isoformat()


@dataclass(frozen=True)
class Overview:
    """Summary of all images of the account, for the page with the list."""

    version: str
    namespaces: tuple[str, ...]
    images: int


def list_version(account: Account) -> str:
    """A text that changes when the account's list of images changes; one query, which reads the end of two indexes."""
    images, namespaces = Image.objects.visible_to(account), Namespace.objects.visible_to(account)
    newest = [rows.order_by("-changed_at").values_list("changed_at")[:1] for rows in (images, namespaces)]
    return _newest(moment for (moment,) in newest[0].union(newest[1], all=True))


def overview(account: Account) -> Overview:
    """Like ``list_version``, with the names of the namespaces and the number of images; two queries.

    The number of images is the sum of ``image_count``; no image is counted.
    """
    moments, names, images = [moment for (moment,) in _newest_image(account.pk)], [], 0
    for name, changed_at, image_count in _namespaces(account.pk):
        names.append(name)
        moments.append(changed_at)
        images += image_count
    return Overview(_newest(moments), tuple(names), images)


@Compiled
def _newest_image(account: int) -> QuerySet[Image, tuple[datetime.datetime]]:
    return Image.objects.visible_to(Account(pk=account)).order_by("-changed_at").values_list("changed_at")[:1]


@Compiled
def _namespaces(account: int) -> QuerySet[Namespace, tuple[str, datetime.datetime, int]]:
    namespaces = Namespace.objects.visible_to(Account(pk=account)).order_by("name")
    return namespaces.values_list("name", "changed_at", "image_count")


def _newest(moments: Iterable[datetime.datetime | None]) -> str:
    return _text(max(filter(None, moments), default=_NEVER))


def image_version(image: Image) -> str:
    """A text that changes when an image's page changes, including its pull counts, which are updated periodically."""
    return f"{_text(image.changed_at)} {image.pull_count}"
