"""The grammars once more, written by hand from the specifications, without a line or an expression of the product's.

Distribution, "Token Scope Documentation" and ``reference``; RFC 7617 for Basic. What is the house's own is said so.
"""

from __future__ import annotations

import base64
import itertools
import string

ALPHANUMERIC = frozenset(string.ascii_lowercase + string.digits)
_DIGITS = frozenset(string.digits)
_LETTERS = frozenset(string.ascii_letters + string.digits)
_HEX = frozenset("0123456789abcdef")


def is_component(text: str) -> bool:
    """``alpha-numeric [ separator alpha-numeric ]*``, the separators being ``.``, ``_``, ``__`` and any many ``-``."""
    if not text or text[0] not in ALPHANUMERIC or text[-1] not in ALPHANUMERIC:
        return False
    runs = ("".join(run) for plain, run in itertools.groupby(text, ALPHANUMERIC.__contains__) if not plain)
    return all(run in {".", "_", "__"} or set(run) == {"-"} for run in runs)


def is_repository(text: str) -> bool:
    """A name without a host, of 255 characters at most."""
    return len(text) <= 255 and all(is_component(part) for part in text.split("/"))


def is_namespace(text: str) -> bool:
    """The house's own: one component of 2 to 30 characters, single separators, and not a reserved word."""
    single = all(len(list(run)) == 1 for plain, run in itertools.groupby(text, ALPHANUMERIC.__contains__) if not plain)
    reserved = {"admin", "docker", "dockerhub", "library", "system"}
    return is_component(text) and single and 2 <= len(text) <= 30 and text not in reserved


def is_image(text: str) -> bool:
    """The house's own length: 2 to 200 characters."""
    return 2 <= len(text) <= 200 and all(is_component(part) for part in text.split("/"))


def is_tag(text: str) -> bool:
    """``[\\w][\\w.-]{0,127}`` of ASCII."""
    inside = _LETTERS | set("_.-")
    return 1 <= len(text) <= 128 and text[0] not in ".-" and inside.issuperset(text)


def is_digest(text: str) -> bool:
    """Of the two algorithms that the house can verify."""
    algorithm, _, digits = text.partition(":")
    return len(digits) == {"sha256": 64, "sha512": 128}.get(algorithm) and _HEX.issuperset(digits)


def _is_host(text: str) -> bool:
    host, colon, port = text.partition(":")
    if colon and not (port and _DIGITS.issuperset(port)):
        return False
    return all(
        part and (_LETTERS | {"-"}).issuperset(part) and part[0] != "-" and part[-1] != "-" for part in host.split(".")
    )


def _is_type(text: str) -> bool:
    kind, bracket, rest = text.partition("(")
    values = [kind]
    if bracket:
        if not rest.endswith(")"):
            return False
        values.append(rest[:-1])
    return all(value and ALPHANUMERIC.issuperset(value) for value in values)


def read_scope(text: str) -> tuple[str, str, frozenset[str]] | None:
    """``resourcescope``: type, name, actions. The lengths are the house's own: 255 for the name, 455 in all."""
    kind, colon, rest = text.partition(":")
    name, second, actions = rest.rpartition(":")
    if not colon or not second or len(text) > 455 or len(name) > 255 or not _is_type(kind):
        return None
    first, slash, below = name.partition("/")
    plain = all(is_component(part) for part in name.split("/"))
    hosted = slash and _is_host(first) and all(is_component(part) for part in below.split("/"))
    each = actions.split(",")
    if not (plain or hosted) or not all(one == "*" or (one and one.isascii() and one.isalpha()) for one in each):
        return None
    return (kind, name, frozenset(each)) if actions == actions.lower() else None


def read_basic(header: str) -> tuple[str, str] | None:
    """User name and password of ``Basic``; ``None`` for anything else."""
    scheme, _, encoded = header.partition(" ")
    encoded = encoded.strip()
    if scheme.lower() != "basic" or len(encoded) % 4 or not encoded.isascii():
        return None
    plain = encoded.rstrip("=")
    if len(encoded) - len(plain) > 2 or not (_LETTERS | {"+", "/"}).issuperset(plain):
        return None
    try:
        username, colon, password = base64.b64decode(encoded).decode("utf-8").partition(":")
    except ValueError:
        return None
    return (username, password) if colon else None
