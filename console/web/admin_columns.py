"""Columns of the administration's lists, by the kind of field: times, sizes, numbers, links to other rows; a filter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.contrib import admin
from django.db import models
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from console.web.templatetags.console import moment, number, size

_EMPTY = "–"


class GivenFilter(admin.EmptyFieldListFilter):
    """Filters by whether a field has a value: yes or no."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        """All, those without a value, those with one."""
        for choice, name in zip(super().choices(changelist), (_("All"), _("No"), _("Yes")), strict=True):
            yield {**choice, "display": name}


def of_field(options: Any, field: models.Field[Any, Any]) -> Any:
    """How a list shows ``field``: a function of a row, or the field's name where Django shows it well.

    :param options: the ``ModelAdmin``; bytes are the fields in its ``sizes``.
    """
    show: Callable[[Any], str]
    if isinstance(field, models.ForeignKey):
        if not options.admin_site.is_registered(field.related_model):
            return field.name
        show = link
    elif isinstance(field, models.DateTimeField):
        show = moment
    elif field.name in options.sizes:
        show = _size
    elif isinstance(field, models.IntegerField) and not field.primary_key and not field.choices:
        show = _number
    else:
        return field.name

    @admin.display(description=field.verbose_name, ordering=field.name)
    def column(row: Any) -> str:
        value = getattr(row, field.name)
        return _EMPTY if value is None else show(value)

    # Django names the cells by it.
    column.__name__ = field.name
    return column


def link(row: models.Model) -> SafeString:
    """A row of another list, with its page in the administration."""
    address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', address, row)


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
