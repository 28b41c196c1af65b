"""Parse untrusted JSON with a limit on the memory of its values.

As Python objects, 4 MiB of ``[[],[],…`` take 90 MiB, and of descriptors 60 MiB. So the separators of values are counted
first, which takes a millisecond and no memory.
"""

from __future__ import annotations

import json
import re
from typing import Any

# About 10 MiB of objects, or 12,000 descriptors in a manifest. Real manifests have about a hundred: Docker allows at
# most 127 layers, and an index of all platforms with attestations has about 40 entries.
MOST_SEPARATORS = 100_000
_SEPARATORS = b",:[{"
# What JSON allows in a text, but neither a database nor UTF-8: NUL, and surrogates without their other half.
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


class TooManyValues(ValueError):
    """A JSON text has more values than the limit."""


def parse(content: bytes) -> Any:
    """Parse a JSON text; separators within strings are counted, too.

    :raises TooManyValues: when it has more than ``MOST_SEPARATORS`` commas, colons and opening brackets.
    :raises ValueError: when it is not JSON, or is nested too deeply.
    """
    if sum(content.count(separator) for separator in _SEPARATORS) > MOST_SEPARATORS:
        raise TooManyValues(f"more than {MOST_SEPARATORS:,} values")
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_storable(text: str) -> bool:
    """Whether a text from a JSON document can be stored in a database and sent as UTF-8."""
    return _UNSTORABLE.search(text) is None
