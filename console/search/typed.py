"""What was typed into the search, taken apart: a part of a name, or an image reference with registry and tag."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.conf import settings

from console.repositories.words import description_words

# Shorter texts are in nearly every name.
SHORTEST = 2
# Words that count in descriptions.
_MOST_WORDS = 8


@dataclass(frozen=True)
class Typed:
    """What is searched for.

    :param text: as it was typed.
    :param names: the words that names of images contain.
    :param tag: what names of tags contain: what stands after a colon, or else the last word; empty for no tags.
    :param images_of_tag: the words that the names of the images with these tags contain; may be empty.
    :param words: the words that a description has.
    """

    text: str
    names: str
    tag: str
    images_of_tag: str
    words: tuple[str, ...]

    @property
    def long_enough(self) -> bool:
        """Whether there is enough to search for."""
        return len(self.text) >= SHORTEST

    @property
    def any_word(self) -> list[str]:
        """All words, to be marked where they occur; at least one if there is any text."""
        return [word for word in {*self.names.split(), self.tag, *self.words} if word] or [self.text]

    @property
    def official(self) -> str:
        """What names or descriptions of official images contain."""
        return self.names.removeprefix("library/")


def take_apart(text: str) -> Typed:
    """Take a search text apart. Of an image reference, registry and digest do not count."""
    plain = text.lower()
    for address in (settings.REGISTRY_ADDRESS, settings.DOCKERHUB_ADDRESS):
        plain = plain.removeprefix(f"{address.lower()}/")
    plain = re.sub(r"@sha(256|512):\S*", "", plain)
    names, colon, tag = (part.strip() for part in plain.partition(":"))
    *earlier, last = names.split() or [""]
    # A single letter begins words of nearly every description.
    words = [word for word in dict.fromkeys(description_words(text)) if len(word) > 1 or not word.isascii()]
    if colon:
        return Typed(text, names, tag, names, tuple(words[:_MOST_WORDS]))
    return Typed(text, names, last, " ".join(earlier), tuple(words[:_MOST_WORDS]))
