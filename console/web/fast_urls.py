"""URLs of many rows, without asking ``reverse`` for each."""

from __future__ import annotations

import functools

from django.urls import get_script_prefix, reverse

_COMPONENT = "a-name-to-be-replaced"
# What a name of its kind looks like, and is called nowhere.
_STAND_INS = {"": _COMPONENT, "/": f"{_COMPONENT}/{_COMPONENT}", ":": f"sha256:{'5eed' * 16}"}


def address_of(view: str, *names: str) -> str:
    """What ``reverse(view, args=names)`` gives, for names of repositories, of tags, and digests.

    They stand in the address as they are: their grammars have nothing that would have to be quoted. Each kind once.
    """
    kinds = tuple([":" if ":" in name else "/" if "/" in name else "" for name in names])
    return _pattern(view, kinds, get_script_prefix()) % names


@functools.lru_cache(maxsize=256)
def _pattern(view: str, kinds: tuple[str, ...], prefix: str) -> str:
    stand_ins = [_STAND_INS[kind] for kind in kinds]
    address = reverse(view, args=stand_ins).replace("%", "%%")
    for stand_in in stand_ins:
        address = address.replace(stand_in, "%s", 1)
    return address
