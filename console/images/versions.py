"""Whether there is anything new to show: a few bytes that an open page asks for every second."""

from __future__ import annotations

import datetime

from django.db.models import OuterRef, Subquery

from console import policy
from console.accounts.models import Account
from console.images.models import Image

_NEVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)


def _text(moment: datetime.datetime) -> str:
    return moment.isoformat()


def list_version(account: Account) -> str:
    """Changes when something changes that the account's list of images shows; one query, of indexes alone."""
    newest = Image.objects.filter(namespace=OuterRef("pk")).order_by("-changed_at").values("changed_at")[:1]
    moments = policy.visible_namespaces(account).values_list("changed_at", Subquery(newest))
    return _text(max((moment for pair in moments for moment in pair if moment), default=_NEVER))


def image_version(image: Image) -> str:
    """Changes when something changes that an image's page shows."""
    return _text(image.changed_at)
