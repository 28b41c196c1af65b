"""Version of a list: a few bytes that an open page polls, and that change when the list does."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection
from django.db.models import QuerySet

from console.accounts.models import Account
from console.database.compiled import Compiled
from console.repositories.models import Image
from console.repositories.reach import Reach, reach_of

_NEVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)


def _text(moment: datetime.datetime) -> str:
    return moment.isoformat()


@dataclass(frozen=True)
class Overview:
    """Summary of all images of the account, for the page with the list."""

    version: str
    reach: Reach

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The names of the namespaces."""
        return tuple(place.name for place in self.reach.places)

    @property
    def images(self) -> int:
        """The number of images: the sum of ``image_count``; no image is counted."""
        return self.reach.image_count


def list_version(account: Account) -> str:
    """A text that changes when the account's list of images changes, or a role of it; three queries."""
    return overview(account).version


def overview(account: Account) -> Overview:
    """Like ``list_version``, with what the account has roles on."""
    reach = reach_of(account)
    moments = [moment for (moment,) in _newest_image(account.pk)] if not reach.shared else _newest_of(reach)
    moments += [place.changed_at for place in reach.places]
    return Overview(f"{_newest(moments)} {reach.mark}" if reach.shared else _newest(moments), reach)


@Compiled
def _newest_image(account: int) -> QuerySet[Image, tuple[datetime.datetime]]:
    return Image.objects.owned_by(Account(pk=account)).order_by("-changed_at").values_list("changed_at")[:1]


# One entry of the index (owner, changed_at) for each owner.
_NEWEST = """
SELECT max(newest.changed_at) FROM unnest(%s::bigint[]) AS owner (id) CROSS JOIN LATERAL (
    SELECT changed_at FROM images_image AS image
    WHERE image.owner_id = owner.id AND (image.namespace_id = ANY(%s) OR image.id = ANY(%s))
    ORDER BY changed_at DESC LIMIT 1
) AS newest
"""


def _newest_of(reach: Reach) -> list[datetime.datetime]:
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST, [reach.owners, reach.namespaces, reach.single_images])
        return [moment for (moment,) in cursor.fetchall() if moment is not None]


def _newest(moments: Iterable[datetime.datetime | None]) -> str:
    return _text(max(filter(None, moments), default=_NEVER))


def image_version(image: Image) -> str:
    """A text that changes when an image's page changes, including its pull counts, which are updated periodically."""
    return f"{_text(image.changed_at)} {image.pull_count}"
