"""Words of tags and of descriptions, for the search with a full-text index (GIN over ``tsvector``).

A tag's name is split into words at its separators and before a number that follows a letter: ``v1.10-rc1`` has ``v``,
``1``, ``10`` and ``rc``. An expression index has them. A description's words are in a table that database triggers
write (``ImageWords``): an image's row is written with each push, and must not write thousands of words again.

No text search configuration is used, so that every language is searched alike: a query finds words by their beginnings.
"""

from __future__ import annotations

import re
import string
from collections.abc import Collection

from django.contrib.postgres.search import SearchVectorField
from django.db.models import BooleanField, Expression, F, Func, Value

# What separates the words of a description: the migration 0017 has the same for the database.
SEPARATORS = (
    string.punctuation
    + "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\xa0\u2002\u2003\u2009\u2028\u2029\u202f\u3000"
    + "«»‘’‚“”„‹›–—…·•、。《》「」『』【】！（），：；？"
)
# A longer word is searched by its beginning.
LONGEST_WORD = 64
_TO_BLANKS = str.maketrans(dict.fromkeys(SEPARATORS, " "))
_TAG_TO_BLANKS = str.maketrans("._-", "   ")
_NUMBER_AFTER_LETTER = re.compile("([a-z])([0-9])")
_TAG = re.compile("[a-z0-9._-]+")

# The words of a tag, and its whole name, as the index ``tag_words`` has them.
TAG_WORDS = Func(
    F("name"),
    template=(
        "array_to_tsvector(array_remove(string_to_array("
        "regexp_replace(translate(lower(%(expressions)s), '._-', '   '), '([a-z])([0-9])', '\\1 \\2', 'g'), ' '), '') "
        "|| lower(%(expressions)s))"
    ),
    output_field=SearchVectorField(),
)


def description_words(text: str) -> list[str]:
    """The words of a description, or of a query for descriptions, each as long as it is stored."""
    return [word[:LONGEST_WORD] for word in text.lower().translate(_TO_BLANKS).split()]


def described(account_id: int, words: list[str], *, of_others: bool, sharing: Collection[int] = ()) -> str:
    """A query (``tsquery``) for descriptions that have a word with each of these beginnings.

    The database keeps with the words who may see the image, so that the index finds what the account may see. It only
    narrows the search: who may see what is decided by the querysets of ``Image``.

    :param of_others: of public images of other accounts, or else of the account's own and shared images.
    :param sharing: the owners of the shared ones, by primary key.
    """
    if of_others:
        seen = f"'/public' & !'/{account_id}'"
    else:
        owners = " | ".join(f"'/{owner}'" for owner in sorted({account_id, *sharing}))
        seen = f"({owners})"
    return f"{seen} & {all_begin(words)}"


def tag_words(text: str) -> list[str]:
    """The words of a part of a tag's name; none where ``text`` has characters that no tag has."""
    text = text.lower()
    if not _TAG.fullmatch(text):
        return []
    return _NUMBER_AFTER_LETTER.sub(r"\1 \2", text.translate(_TAG_TO_BLANKS)).split()


def all_begin(words: list[str]) -> str:
    """A query (``tsquery``) for what has a word with each of these beginnings."""
    return " & ".join(f"'{word}':*" for word in words)


def last_begins(words: list[str]) -> str:
    """A query (``tsquery``) for what has all of these words, the last of which may go on."""
    *whole, last = words
    return " & ".join([*(f"'{word}'" for word in whole), f"'{last}':*"])


def matches(words: Expression | F, query: str) -> Func:
    """Condition: whether the words (``tsvector``) match the query.

    :param query: of words without quotes and backslashes, as the functions above make them.
    """
    return Func(
        words, Value(query), template="(%(expressions)s::tsquery)", arg_joiner=" @@ ", output_field=BooleanField()
    )
