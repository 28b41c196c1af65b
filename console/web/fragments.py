"""Template fragment cache: rows of lists are rendered once, and then only their texts are filled in.

A template is rendered once for each *shape* of its values (everything except the texts), with a placeholder for each
text. The result is cached, and later calls replace the placeholders with the texts.

The template gets only its values: no request, account or CSRF token. So the cache holds only the template's own text,
and no account's data can appear on another account's page.
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
# Limits of the cache: shapes, and texts in a shape. Values with more texts are rendered without the cache.
_SHAPES = 256
_TEXTS = 120
# Limit of the cache of whole fragments, of one to ten kilobytes each.
_FRAGMENTS = 512


class _Skeleton(NamedTuple):
    """A rendered template with ``%s`` for each text, and the order of the texts."""

    words: str
    pick: Callable[[list[str]], tuple[str, ...]]


def render(template: str, values: Mapping[str, Any]) -> SafeString:
    """Render ``template`` with ``values``, escaped, using the cache.

    The template may output a text, test whether it is empty, or include another template with it; it cannot use a
    filter, a URL tag or a comparison on it. Values to compare or count must be ``bool`` or small ``int``.

    A text that is marked as safe is not escaped.

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
    """The shape of ``value``; its texts are appended to ``texts``."""
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
        return type(value), value  # True and 1 are rendered differently
    raise TypeError(f"a {type(value).__name__} is neither a text nor part of a shape")


def _with_marks(shape: Any, marks: list[str]) -> Any:
    """A value with this shape and a placeholder for each text."""
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
        raise ValueError(f"{template} changes one of its texts")
    order = [int(number) for number in parts[1::2]]
    words = "%s".join(part.replace("%", "%%") for part in parts[::2])
    return _Skeleton(words, lambda texts: tuple([texts[number] for number in order]))


def cached(template: str, **values: Hashable) -> SafeString:
    """Render ``template`` with ``values``, and cache the whole result by these values.

    The template gets only these values, as in ``render``, but may use any filter or tag on them; each different text
    is another cache entry.

    :param values: texts, and tuples of texts.
    """
    return _cached(template, tuple(values.items()), get_language(), get_script_prefix())


@functools.lru_cache(maxsize=_FRAGMENTS)
def _cached(template: str, values: tuple[tuple[str, Hashable], ...], _language: str | None, _prefix: str) -> SafeString:
    return mark_safe(get_template(template).render(dict(values)))  # noqa: S308  # nosec B308 B703  (a template escapes)
