"""Parse ``WWW-Authenticate`` headers (RFC 9110, section 11.6.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SKIPPED = re.compile(r"[\s,]*")
_PARAMETER = re.compile(rf'({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))(?=[\s,]|$)')
_SCHEME = re.compile(rf"({_WORD})(?=[\s,]|$)")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True)
class Challenge:
    """An authentication challenge. The scheme and the parameters' names are in lower case."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(header: str) -> list[Challenge]:
    """The challenges in the value of a ``WWW-Authenticate`` header, in its order.

    There may be several; parameters may be in any order, quoted or not. Parsing stops at the first malformed part.
    """
    challenges: list[Challenge] = []
    position = 0
    while (position := _after(_SKIPPED, header, position)) < len(header):
        if challenges and (match := _PARAMETER.match(header, position)):
            name, quoted, plain = match.groups()
            value = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
            challenges[-1].parameters.setdefault(name.lower(), value)
        elif match := _SCHEME.match(header, position):
            challenges.append(Challenge(match[1].lower(), {}))
            behind = _after(_SKIPPED, header, match.end())
            if "," not in header[match.end() : behind] and (token := _TOKEN68.match(header, behind)):
                match = token
        else:
            break
        position = match.end()
    return challenges


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position
