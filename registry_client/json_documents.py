"""Parsing JSON that somebody else wrote, with a limit on the memory that its values take.

As Python objects, 4 MiB of ``[[],[],…`` take 90 MiB, and of descriptors 60. So the characters that separate values are
counted before, which takes a millisecond and no memory.
"""

from __future__ import annotations

import json
from typing import Any

# About 10 MiB of objects, and 12,000 descriptors in a manifest. The largest that are known have some hundred: Docker
# stacks 127 layers at most, and an index of all platforms with what is attested of them has some 40 entries.
MOST_SEPARATORS = 100_000
_SEPARATORS = b",:[{"


class TooManyValues(ValueError):
    """A JSON text has more values than are parsed."""


def parse(content: bytes) -> Any:
    """Parse a JSON text; what stands within its strings counts as separators too.

    :raises TooManyValues: when it has more than ``MOST_SEPARATORS`` commas, colons and opening brackets.
    :raises ValueError: when it is not JSON, or is nested too deeply.
    """
    if sum(content.count(separator) for separator in _SEPARATORS) > MOST_SEPARATORS:
        raise TooManyValues(f"more than {MOST_SEPARATORS:,} values")
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None
