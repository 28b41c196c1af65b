"""Search images by any part of their names (n-gram index), and sort them, using indexes.

PostgreSQL's extension ``pg_trgm`` is not available in every installation. So for each image there is an array with all
n-grams of its name (one to three letters) and a GIN index: a name that contains a word contains all n-grams of the
word. The rows that the index finds are then compared with the word itself.

If very many names have the n-grams, as with a single letter, the index does not help: then the names of the account's
images are read from another index.
"""

from __future__ import annotations

from typing import TypeVar

from django.db.models import F, QuerySet

from console.repositories.models import NAMESPACE_PART, Image, ImagePieces

Images = TypeVar("Images", bound="QuerySet[Image]")

# Sort orders of lists of images. Each has its index (``Image.Meta``).
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
    """The fewest n-grams that a name containing ``word`` must have: the longest ones include the shorter."""
    length = min(len(word), _LONGEST_PIECE)
    return {word[start : start + length] for start in range(len(word) - length + 1)}


def _all_needed(words: list[str]) -> list[str]:
    return sorted({piece for word in words for piece in _needed(word)})


def find(images: Images, text: str) -> tuple[Images, bool]:
    """Filter ``images``: ``namespace/name`` must contain each word of ``text``, case-insensitively.

    Queries the database once, for an estimate of how many there are.

    :return: the images, and whether there may be so many that calling ``total`` is useful.
    """
    words = text.lower().split()
    possible = images.filter(name_pieces__pieces__contains=_all_needed(words)).order_by().values_list("pk", flat=True)
    few = list(possible[: _MANY + 1])
    images = containing(images, text)
    many = len(few) > _MANY
    return (images if many else images.filter(pk__in=few)), many


def containing(images: Images, text: str) -> Images:
    """Filter ``images`` as ``find`` does, without the index of n-grams: for texts that very many names contain."""
    for word in text.lower().split():
        images = images.filter(full_name__contains=word)
    return images


def total(names: QuerySet[ImagePieces], text: str) -> int | None:
    """Count the names that contain each word of ``text``.

    :return: ``None`` if the index would not help, as with a single letter, which nearly every name has.
    """
    words = text.lower().split()
    needed = [piece for piece in _all_needed(words) if len(piece) > 1]
    if not needed:
        return None
    names = names.filter(pieces__contains=needed)
    for word in words:
        names = names.filter(full_name__contains=word)
    return names.count()
