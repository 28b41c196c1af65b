"""The order of tags: versions by their numbers, pre-releases before their release, everything else in natural order.

``sort_key`` converts a tag to a text, and the bytewise order of these texts is the order of the tags. The text is
stored on the tag's row in a column with the collation ``C`` (``tag_order_field.TagOrderField``), so that any page of a
long list is read from an index. Changing the order needs a migration that fills the column again.

Rules, by example:

- ``1.2.0`` < ``1.10.0``, ``build-9`` < ``build-10``: digits are numbers of any length.
- ``1.0.0-alpha`` < ``1.0.0-alpha.1`` < ``1.0.0-rc.1`` < ``1.0.0``: what follows a version after a hyphen comes before
  the version (Semantic Versioning 2.0.0, section 11).
- ``1.0.dev1`` < ``1.0a1`` < ``1.0rc1`` < ``1.0`` < ``1.0.post1``: so do the words for pre-releases without a hyphen
  (PEP 440, "Summary of permitted suffixes and relative ordering").
- ``1.0`` and ``1.0.0`` are adjacent, after all pre-releases of either; so do ``v1.0`` and ``1.0``.
- ``1.0.0_build.5``: Helm writes ``_`` for the ``+`` of build metadata. It comes after ``1.0.0`` and before ``1.0.1``.
  What begins with a word for pre-releases is one here too: ``1.0.0_rc1``.
- ``2026-01-31`` is a date, not a pre-release of 2026.
- Versions come first, then words in alphabetical order, upper and lower case alike, and ``latest`` last.

Two things differ from Semantic Versioning, which compares identifiers of letters and digits as ASCII texts:
``rc2`` < ``rc10``, and ``alpha`` < ``RC1``.

The key is a structure, ``$``, and the tag itself, which decides between tags of the same structure. Its tokens:

============  ==========================================================================
``0``         the number zero
``1`` ``9``   a number of so many digits, leading zeros left out, and the digits
``A10``       a number of 10 to 99 digits; ``B100``: of 100 or more
``a`` ``z``   a word, in lower case
``!``         a development release of the part before it
``#``         a pre-release; then its identifiers, separated by ``,``, each after ``0`` (a number) or ``1`` (any other)
``$``         the end
``+``         ``_``
``,``         more letters after a version
``-`` ``.``   the separators; after a number ``.`` and the next number
``~``         ``latest`` as the first word
============  ==========================================================================

Their bytes are in the order that the rules above ask for: ``! # $ + , - .``, numbers, words.
"""

from __future__ import annotations

import re

# Upper bound for the key of a tag of 128 characters; a test searches for longer ones.
LONGEST_KEY = 512

_END = "$"
_DEVELOPMENT = "!"
_PRE_RELEASE = "#"
_MORE = ","
_SEPARATORS = {"-": "-", ".": ".", "_": "+"}

_DATE = r"(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12][0-9]|3[01]))?(?![0-9])"
# A version, with an optional "v".
_VERSION = re.compile(rf"v?((?:{_DATE}|[0-9]+)(?:\.[0-9]+)*)")
_WORD = re.compile(r"[^0-9._-]+")
_IDENTIFIER_PARTS = re.compile(r"[0-9]+|[^0-9]+")
_DEVELOPMENT_WORD = re.compile(r"[._]?dev(?![a-z])")
_PRE_RELEASE_WORD = re.compile(
    r"[._]?(alpha|beta|preview|pre|rc|cr|milestone|snapshot|nightly|canary)(?![a-z])|\.?([abcm])(?=[0-9])"
)
# PEP 440, "Pre-release spelling"; the others are of Java projects.
_SPELLINGS = {"a": "alpha", "b": "beta", "c": "rc", "cr": "rc", "m": "milestone", "pre": "rc", "preview": "rc"}


def sort_key(tag: str) -> str:
    """The text by which tags are sorted bytewise. Different tags have different keys.

    :param tag: a tag (OCI distribution specification, "Pulling manifests"): at most 128 ASCII characters.
    :return: at most ``LONGEST_KEY`` printable ASCII characters, never empty.
    """
    return f"{''.join(_structure(tag.lower()))}{_END}{tag}"


def _structure(text: str) -> list[str]:
    """The tokens of a tag in lower case, without the end."""
    tokens: list[str] = []
    at = 0
    # At the beginning and after a separator a "v" before digits belongs to the version.
    separated = True
    while at < len(text):
        if (version := _VERSION.match(text, at)) and (separated or text[at] != "v"):
            tokens.append(_version(version[1]))
            at, separated = _after_version(text, version.end(), tokens)
        elif word := _WORD.match(text, at):
            tokens.append("~latest" if at == 0 and word[0] == "latest" else word[0])
            at, separated = word.end(), False
        else:
            tokens.append(_SEPARATORS[text[at]])
            at, separated = at + 1, True
    return tokens


def _after_version(text: str, at: int, tokens: list[str]) -> tuple[int, bool]:
    """Append the tokens that directly follow a version.

    :return: the position after them, and whether it is after a separator.
    """
    if at == len(text):
        return at, False
    if text[at] == "-":
        end = _end_of_pre_release(text, at)
        tokens += [_PRE_RELEASE, _identifiers(text[at + 1 : end])]
        return end, False
    if found := _DEVELOPMENT_WORD.match(text, at):
        tokens.append(_DEVELOPMENT)
        return found.end(), False
    if found := _PRE_RELEASE_WORD.match(text, at):
        word = found[1] or found[2]
        end = _end_of_pre_release(text, at + 1)
        tokens += [
            _PRE_RELEASE,
            _identifiers(_SPELLINGS.get(word, word) + text[found.end() : end], development=True),
        ]
        return end, False
    if text[at] == "_":
        tokens.append(_SEPARATORS["_"])
        return at + 1, True
    tokens.append(_MORE)
    # 1.0.post1 and 1.0post1 are equal.
    return (at + 1, True) if _WORD.match(text, at + 1) and text[at] == "." else (at, False)


def _end_of_pre_release(text: str, at: int) -> int:
    """The position where build metadata begins, or the end of the text."""
    found = text.find("_", at)
    return len(text) if found < 0 else found


def _version(text: str) -> str:
    """The token of a version's numbers, without trailing zeros."""
    numbers = [_number(part) for part in re.split(r"[.-]", text)]
    while len(numbers) > 1 and numbers[-1] == "0":
        numbers.pop()
    return ".".join(numbers)


def _number(digits: str) -> str:
    """The token of a number: tokens compare bytewise like the numbers."""
    digits = digits.lstrip("0")
    length = len(digits)
    if not length:
        return "0"
    return f"{'' if length < 10 else 'A' if length < 100 else 'B'}{length}{digits}"


def _identifiers(text: str, *, development: bool = False) -> str:
    """The token of a pre-release's identifiers (Semantic Versioning, section 9): a prefix comes before a longer one.

    :param development: whether ``dev`` marks a development release of the part before it, as in ``1.0a1.dev2``.
    """
    key = ""
    for identifier in text.split("."):
        if development and key and (found := re.fullmatch("dev([0-9]*)", identifier)):
            key += _DEVELOPMENT + (_number(found[1]) if found[1] else "")
        elif identifier.isdigit():
            key += f"{_MORE if key else ''}0{_number(identifier)}"
        else:
            parts = _IDENTIFIER_PARTS.findall(identifier)
            key += f"{_MORE if key else ''}1{''.join(_number(part) if part.isdigit() else part for part in parts)}"
    return key
