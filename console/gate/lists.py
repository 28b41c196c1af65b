"""Tag lists and the catalogue, from the index.

OCI distribution specification, "Listing Tags"; the catalogue is Docker's (Distribution, "Listing Repositories").
"""

from __future__ import annotations

from typing import NamedTuple

from django.db import connection
from django.db.models import F
from django.db.models.functions import Collate

from console.accounts.models import Account
from console.gate.errors import name_unknown
from console.gate.paging import Page
from console.repositories.models import Image

# Entries of one page at most. Clients that ask for no number often do not follow the link to the next page.
MOST_TAGS, MOST_REPOSITORIES = 10_000, 1_000


class Entries(NamedTuple):
    """The entries of a page, and whether there are more."""

    names: list[str]
    more: bool


# "Lexical order (i.e. case-insensitive alphanumeric order)"; names that differ only in case are next to each other.
_TAGS = """
SELECT tag.name FROM images_tag AS tag
WHERE tag.image_id = %(image)s AND tag.state = 'active' AND (
    %(last)s = ''
    OR (lower(tag.name) COLLATE "C", tag.name COLLATE "C") > (lower(%(last)s) COLLATE "C", %(last)s COLLATE "C")
)
ORDER BY lower(tag.name) COLLATE "C", tag.name COLLATE "C" LIMIT %(limit)s
"""


def tags_of(repository: str, page: Page) -> Entries:
    """The tags of a repository, without those being deleted.

    :raises ProtocolError: 404 ``NAME_UNKNOWN``.
    """
    image = Image.objects.filter(full_name=repository, state=Image.State.ACTIVE).values_list("pk", flat=True).first()
    if image is None:
        raise name_unknown(repository)
    if not page.size:
        return Entries([], False)
    with connection.cursor() as cursor:
        cursor.execute(_TAGS, {"image": image, "last": page.last, "limit": page.size + 1})
        return _entries([name for (name,) in cursor.fetchall()], page)


def repositories_of(username: str, whole: bool, page: Page) -> Entries:
    """The repositories that an account may read: its own and the public ones.

    :param username: of the account.
    :param whole: whether all repositories are listed.
    """
    images = Image.objects.filter(state=Image.State.ACTIVE)
    if not whole:
        account = Account.objects.filter(credential__username=username, is_active=True).first()
        readable = Image.objects.readable_by(account) if account else Image.objects.public()
        images = readable.filter(state=Image.State.ACTIVE)
    if not page.size:
        return Entries([], False)
    ordered = images.annotate(lexical=Collate(F("full_name"), "C")).order_by("lexical")
    if page.last:
        ordered = ordered.filter(lexical__gt=page.last)
    return _entries(list(ordered.values_list("full_name", flat=True)[: page.size + 1]), page)


def _entries(found: list[str], page: Page) -> Entries:
    return Entries(found[: page.size], len(found) > page.size)
