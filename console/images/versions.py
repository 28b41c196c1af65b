"""Whether there is anything new to show: a few bytes that an open page asks for every second."""

from __future__ import annotations

import datetime

from django.db.models import Max

from console import policy
from console.accounts.models import Account
from console.images.models import Image

_NEVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)


def _text(moment: datetime.datetime) -> str:
    return moment.isoformat()


def list_version(account: Account) -> str:
    """Changes when something changes that the account's list of images shows; two queries, of indexes alone."""
    images = policy.visible_images(account).aggregate(newest=Max("changed_at"))["newest"]
    namespaces = policy.visible_namespaces(account).aggregate(newest=Max("changed_at"))["newest"]
    return _text(max(images or _NEVER, namespaces or _NEVER))


def image_version(image: Image) -> str:
    """Changes when something changes that an image's page shows, pulls included: they are added up now and then."""
    return f"{_text(image.changed_at)} {image.pull_count}"
