"""How the administration shows a field, in lists and on a row's page: times, sizes, numbers, links, yes and no."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib import admin
from django.db import models
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.web.templatetags.console import breakable, breakable_address, icon, moment, number, size

_EMPTY = "–"
# So many characters fit in two lines of a cell.
_SHORT = 40
_REFERENCE = re.compile(r"[:@](?=[^\s:@])")


class GivenFilter(admin.EmptyFieldListFilter):
    """Filters by whether a field has a value: yes or no."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        """All, those without a value, those with one."""
        for choice, name in zip(super().choices(changelist), (_("All"), _("No"), _("Yes")), strict=True):
            yield {**choice, "display": name}


def of_field(options: Any, field: models.Field[Any, Any]) -> Any:
    """How ``field`` is shown: a function of a row, or the field's name where Django shows it well.

    :param options: the ``ModelAdmin``. The fields in its ``sizes`` are bytes; of those in its ``good_news`` a yes is
        good.
    """
    show = _of_relation(options, field) if field.is_relation else _of_value(options, field)
    if show is None:
        return field.name

    @admin.display(description=field.verbose_name, ordering=field.name)
    def column(row: Any) -> str:
        value = getattr(row, field.name)
        return _EMPTY if value in (None, "", [], {}) else show(value)

    # Django names the cells by it.
    column.__name__ = field.name
    return column


def _of_relation(options: Any, field: models.Field[Any, Any]) -> Callable[[Any], str] | None:
    single = isinstance(field, models.ForeignKey)
    return link if single and options.admin_site.is_registered(field.related_model) else None


def _of_value(options: Any, field: models.Field[Any, Any]) -> Callable[[Any], str] | None:
    if field.choices or field.primary_key:
        return None
    if field.name in options.sizes:
        return _size
    if isinstance(field, models.BooleanField):
        return functools.partial(yes_no, good=field.name in options.good_news)
    return next((show for kind, show in _KINDS if isinstance(field, kind)), None)


def link(row: models.Model) -> SafeString:
    """A row of another list, with its page in the administration."""
    address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', address, text(str(row)))


def text(value: str) -> SafeString:
    """A text that may break after its separators, also of a port, a tag and a digest.

    Of a long one lists show two lines, and all of it on hover.
    """
    shown = SafeString(_REFERENCE.sub(r"\g<0><wbr>", breakable(value)))  # nosec B703
    return format_html('<span class="cut" title="{}">{}</span>', value, shown) if len(value) > _SHORT else shown


def yes_no(value: bool, *, good: bool = False) -> SafeString:
    """Yes or no, for a column. No is not an error and has no warning colour.

    :param good: whether a yes is good news, which has a tick.
    """
    if not value:
        return format_html('<span class="muted">{}</span>', _("No"))
    if not good:
        return format_html("{}", _("Yes"))
    return format_html('<span class="good">{}{}</span>', icon("mini", "check", 16), _("Yes"))


def bytes_of(count: int | None) -> SafeString:
    """Bytes in binary units, for a column."""
    return _size(count or 0)


def number_of(count: int) -> SafeString:
    """A whole number, grouped, for a column."""
    return _number(count)


def _size(count: int) -> SafeString:
    return format_html('<span class="number">{}</span>', size(count))


def _number(count: int) -> SafeString:
    return format_html('<span class="number">{}</span>', number(count))


def _document(value: Any) -> str:
    """Names and values of a JSON object, or the entries of a list, in a line."""
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_entry(one)}" for name, one in value.items())
    return ", ".join(map(_entry, value)) if isinstance(value, list) else _entry(value)


def _entry(value: Any) -> str:
    if isinstance(value, str):
        return value
    return number(value) if type(value) is int else json.dumps(value, ensure_ascii=False)


# How values of a kind are shown; the first kind that a field is of counts.
_KINDS: tuple[tuple[type[models.Field[Any, Any]], Callable[[Any], str]], ...] = (
    (models.DateTimeField, moment),
    (models.IntegerField, _number),
    (models.GenericIPAddressField, breakable_address),
    (models.CharField, text),
    (models.JSONField, _document),
)
