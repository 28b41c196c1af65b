"""Whether there is anything new to show: a few bytes that an open page asks for every second."""

from __future__ import annotations

import datetime

from console import policy
from console.accounts.models import Account
from console.images.models import Image

_NEVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)


def _text(moment: datetime.datetime) -> str:
    return moment.isoformat()


def list_version(account: Account) -> str:
    """Changes when something changes that the account's list of images shows; one query, of the ends of two indexes."""
    images, namespaces = policy.visible_images(account), policy.visible_namespaces(account)
    newest = [rows.order_by("-changed_at").values_list("changed_at")[:1] for rows in (images, namespaces)]
    return _text(max((moment for (moment,) in newest[0].union(newest[1], all=True)), default=_NEVER))


def image_version(image: Image) -> str:
    """Changes when something changes that an image's page shows, pulls included: they are added up now and then."""
    return f"{_text(image.changed_at)} {image.pull_count}"
