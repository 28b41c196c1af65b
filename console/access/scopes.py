"""The scope grammar of Distribution's token specification ("Token Scope Documentation", section "Grammar")."""

from __future__ import annotations

import re
from collections.abc import Iterable

from console.access.grants import Access

# More than any push or pull needs; a token with this many entries is still below the registry's header limit.
MOST_SCOPES = 100

_TYPE = r"[a-z0-9]+(?:\([a-z0-9]+\))?"
_HOST_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"{_HOST_COMPONENT}(?:\.{_HOST_COMPONENT})*(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_ACTION = r"(?:[a-z]+|\*)"
_SCOPE = re.compile(
    rf"(?P<type>{_TYPE}):(?P<name>(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*):(?P<actions>{_ACTION}(?:,{_ACTION})*)"
)
_LONGEST_NAME = 255
_LONGEST_SCOPE = _LONGEST_NAME + 200


class TooManyScopes(ValueError):
    """More scopes than one token can contain."""


def parse_scope(text: str) -> Access | None:
    """Parse one resource scope; ``None`` if it is malformed.

    A name may begin with a host and port and may be nested; the type may carry a class in brackets.
    """
    if len(text) > _LONGEST_SCOPE:
        return None
    match = _SCOPE.fullmatch(text)
    if match is None or len(match["name"]) > _LONGEST_NAME:
        return None
    return Access(match["type"], match["name"], frozenset(match["actions"].split(",")))


def parse_scopes(values: Iterable[str]) -> list[Access]:
    """Parse all scopes of a request: the parameter may be repeated, and a value may have several separated by spaces.

    Malformed scopes are ignored; scopes of the same resource are merged.

    :raises TooManyScopes: when there are more than ``MOST_SCOPES`` resources.
    """
    merged: dict[tuple[str, str], frozenset[str]] = {}
    for value in values:
        for text in value.split(" "):
            access = parse_scope(text) if text else None
            if access is None:
                continue
            key = (access.type, access.name)
            merged[key] = merged.get(key, frozenset()) | access.actions
            if len(merged) > MOST_SCOPES:
                raise TooManyScopes
    return [Access(kind, name, actions) for (kind, name), actions in merged.items()]


def format_scope(access: Access) -> str:
    """The scope as text, with its actions in a fixed order."""
    return f"{access.type}:{access.name}:{','.join(sorted(access.actions))}"
