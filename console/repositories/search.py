"""Search images by any part of their names, and sort them, from indexes.

PostgreSQL's own answer, the extension ``pg_trgm``, is not part of every installation. So each image carries the set of
all one-, two- and three-letter pieces of its name in an array with a GIN index: a name that contains a word also
contains all the word's pieces. What the index finds is then compared with the word itself.

Where very many names have the pieces, as with a single letter, the index is of no use: it is quicker to read the names
of the account's images, which another index holds together.
"""

from __future__ import annotations

from django.db.models import F, QuerySet

from console.repositories.models import NAMESPACE_PART, Image, ImagePieces

# What a list of images can be sorted by. Each has its index (``Image.Meta``).
SORTS = {
    "name": "name",
    "type": "visibility",
    "namespace": NAMESPACE_PART,
    "tags": "tag_count",
    "size": "size",
    "pushed": F("last_push_at").asc(nulls_first=True),
    "created": "created_at",
}
_LONGEST_PIECE = 3
_MANY = 1000


def _needed(word: str) -> set[str]:
    """The fewest pieces that a name with ``word`` in it must have: the longest ones cover the shorter."""
    length = min(len(word), _LONGEST_PIECE)
    return {word[start : start + length] for start in range(len(word) - length + 1)}


def _all_needed(words: list[str]) -> list[str]:
    return sorted({piece for word in words for piece in _needed(word)})


def find(images: QuerySet[Image], text: str) -> tuple[QuerySet[Image], bool]:
    """Those of ``images`` with each word of ``text`` somewhere in ``namespace/name``; upper and lower case are one.

    Asks the database once, for how many there may be.

    :return: the images, and whether they may be so many that ``total`` is worth asking for.
    """
    words = text.lower().split()
    possible = images.filter(name_pieces__pieces__contains=_all_needed(words)).order_by().values_list("pk", flat=True)
    few = list(possible[: _MANY + 1])
    for word in words:
        images = images.filter(full_name__contains=word)
    many = len(few) > _MANY
    return (images if many else images.filter(pk__in=few)), many


def total(names: QuerySet[ImagePieces], text: str) -> int | None:
    """How many of these have each word of ``text`` in them.

    :return: ``None`` where the index would not help: nearly every name has any single letter.
    """
    words = text.lower().split()
    needed = [piece for piece in _all_needed(words) if len(piece) > 1]
    if not needed:
        return None
    names = names.filter(pieces__contains=needed)
    for word in words:
        names = names.filter(full_name__contains=word)
    return names.count()
