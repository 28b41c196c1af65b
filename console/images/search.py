"""Finding images by any part of their names, from an index.

PostgreSQL's own answer, the extension ``pg_trgm``, is not part of every installation. So each image carries the set of
all one-, two- and three-letter pieces of its name in an array with a GIN index: a name that contains a word also
contains all the word's pieces. What the index finds is then compared with the word itself.
"""

from __future__ import annotations

from django.db.models import QuerySet

from console.images.models import Image, ImageName

_LONGEST_PIECE = 3


def _needed(word: str) -> list[str]:
    """The fewest pieces that a name with ``word`` in it must have: the longest ones cover the shorter."""
    length = min(len(word), _LONGEST_PIECE)
    return sorted({word[start : start + length] for start in range(len(word) - length + 1)})


def find(images: QuerySet[Image], text: str) -> QuerySet[Image]:
    """Those of ``images`` with each word of ``text`` somewhere in ``namespace/name``; upper and lower case are one."""
    names = ImageName.objects.all()
    for word in text.lower().split():
        names = names.filter(pieces__contains=_needed(word), name__contains=word)
    return images.filter(pk__in=names.values("image"))
