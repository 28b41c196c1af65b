"""Partial evaluation of templates: rows of lists are rendered once, and only their texts filled in.

A template is rendered once for each *shape* of what it is given, which is everything but the texts, with a mark in the
place of each text. What comes out is kept, and from then on the texts are put where the marks were.

The template sees nothing but what it is given: no request, no account, no token. So what is kept is the template's own
words, and a text is shown to nobody but whom it was given for.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

from django.template.loader import get_template
from django.urls import get_script_prefix
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

# Of Unicode's private use area: no template and no translation has them.
_MARK = re.compile("\ue000([0-9]+)\ue001")
_TEXT = "text"
# What is kept is so many shapes of so many texts at most; other values are given to the template itself.
_SHAPES = 256
_TEXTS = 120
# So many whole parts are kept, of one to ten kilobytes.
_KEPT = 512


class _Skeleton(NamedTuple):
    """A template's words with ``%s`` for each text, and which text that is."""

    words: str
    pick: Callable[[list[str]], tuple[str, ...]]


def render(template: str, values: Mapping[str, Any]) -> SafeString:
    """What ``template`` makes of ``values``, escaped as templates do.

    It may ask whether a text is empty, and show it as it is, or give it to another template: no filter, no address and
    no comparison can be made of it. What is to be compared or counted is no text but a ``bool`` or a small ``int``.

    A text that is marked as safe is not escaped, whatever the template makes of it.

    :param values: texts, ``bool``, ``int``, ``None``, and lists and dictionaries of such.
    """
    texts: list[str] = []
    shape = _take_apart(values, texts)
    if len(texts) > _TEXTS:
        return mark_safe(get_template(template).render(dict(values)))  # noqa: S308  # nosec B308, B703 # a template escapes
    skeleton = _skeleton(template, get_language(), get_script_prefix(), shape)
    escaped = [text if hasattr(text, "__html__") else html.escape(text) for text in texts]
    return mark_safe(skeleton.words % skeleton.pick(escaped))  # noqa: S308  # nosec B308, B703 # escaped just now


def _take_apart(value: Any, texts: list[str]) -> Hashable:
    """The shape of ``value``, whose texts are added to ``texts``."""
    if isinstance(value, str):
        if not value:
            return ""
        texts.append(value)
        return _TEXT
    if isinstance(value, Mapping):
        return dict, tuple(value), tuple([_take_apart(one, texts) for one in value.values()])
    if isinstance(value, list | tuple):
        return list, tuple([_take_apart(one, texts) for one in value])
    if value is None or isinstance(value, bool | int):
        return type(value), value  # True and 1 are not shown alike
    raise TypeError(f"a {type(value).__name__} is neither a text nor part of a shape")


def _with_marks(shape: Any, marks: list[str]) -> Any:
    """The value with this shape, and with a mark for each text."""
    if shape == "":
        return ""
    if shape == _TEXT:
        marks.append(f"\ue000{len(marks)}\ue001")
        return marks[-1]
    kind, *rest = shape
    if kind is dict:
        return dict(zip(rest[0], [_with_marks(one, marks) for one in rest[1]], strict=True))
    if kind is list:
        return [_with_marks(one, marks) for one in rest[0]]
    return rest[0]


@functools.lru_cache(maxsize=_SHAPES)
def _skeleton(template: str, language: str | None, prefix: str, shape: Hashable) -> _Skeleton:
    parts = _MARK.split(get_template(template).render(_with_marks(shape, [])))
    if any("\ue000" in part or "\ue001" in part for part in parts[::2]):
        raise ValueError(f"{template} changes a text that it is given")
    order = [int(number) for number in parts[1::2]]
    words = "%s".join(part.replace("%", "%%") for part in parts[::2])
    return _Skeleton(words, lambda texts: tuple([texts[number] for number in order]))


def kept(template: str, **values: Hashable) -> SafeString:
    """What ``template`` makes of ``values``, kept for whoever shows the same again.

    It sees nothing but these, as ``render``, so that it shows nothing else; unlike there it may do with them what it
    likes, and another text is another entry.

    :param values: texts, and tuples of texts.
    """
    return _kept(template, tuple(values.items()), get_language(), get_script_prefix())


@functools.lru_cache(maxsize=_KEPT)
def _kept(template: str, values: tuple[tuple[str, Hashable], ...], _language: str | None, _prefix: str) -> SafeString:
    return mark_safe(get_template(template).render(dict(values)))  # noqa: S308  # nosec B308 B703  (a template escapes)
