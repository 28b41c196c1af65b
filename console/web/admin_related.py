"""What belongs to a row of the administration, in other lists: how much of it, and its list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import admin
from django.db.models import Model, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext as _

_AUDIT_LOG = "audit.auditevent"


@dataclass(frozen=True)
class Related:
    """Rows of another list that point at a row.

    :ivar label: of their model.
    :ivar field: the foreign key by which they do. Their ``list_filter`` has it with ``OfRow``.
    :ivar size: the field with their bytes, if they have any.
    """

    label: str
    field: str
    size: str = ""


@dataclass(frozen=True)
class Belonging:
    """How many rows of a list belong to a row.

    :ivar count: ``None`` where they would be too many to count.
    :ivar address: of the list, with these rows alone.
    :ivar bytes: how much they store; ``None`` where that is no question.
    """

    name: str
    count: int | None
    address: str
    bytes: int | None = None


class OfRow(admin.FieldListFilter):
    """Filters by the row that a foreign key points at. It shows itself only then: all rows would be a long choice."""

    def expected_parameters(self) -> list[str | None]:
        """The foreign key's name."""
        return [_parameter(self.field_path)]

    def has_output(self) -> bool:
        """Whether the list is filtered by it."""
        return bool(self.used_parameters)

    def choices(self, changelist: Any) -> Iterator[Any]:
        """All rows, and those of the row."""
        model = self.field.related_model
        keys = next(iter(self.used_parameters.values()))
        row = model._default_manager.filter(pk__in=keys).first()  # type: ignore[union-attr]
        everything = changelist.get_query_string(remove=self.expected_parameters())
        yield {"selected": False, "query_string": everything, "display": _("All")}
        yield {"selected": True, "query_string": changelist.get_query_string(), "display": str(row or "–")}


def _parameter(field: str) -> str:
    return f"{field}__exact"


def belongings(
    site: admin.AdminSite, request: HttpRequest, related: tuple[Related, ...], row: Model
) -> list[Belonging]:
    """What belongs to a row, in lists that the account may see. One query each.

    :param related: where it is looked for.
    """
    return [found for one in related if (found := _belonging(site, request, one, row))]


def _belonging(site: admin.AdminSite, request: HttpRequest, one: Related, row: Model) -> Belonging | None:
    options = site.get_model_admin(apps.get_model(one.label))
    if not options.has_view_permission(request):
        return None
    rows = options.get_queryset(request).filter(**{one.field: row.pk})
    name = capfirst(str(options.opts.verbose_name_plural))
    address = f"{_list(one.label)}?{urlencode({_parameter(one.field): row.pk})}"
    if not one.size:
        return Belonging(name, rows.count(), address)
    return Belonging(name, rows.count(), address, int(rows.aggregate(bytes=Sum(one.size))["bytes"] or 0))


def activity(site: admin.AdminSite, request: HttpRequest, actor: str) -> list[Belonging]:
    """What ``actor`` did, in the audit log; nothing for an account that may not see it."""
    address = audit_log(site, request, actor=actor)
    return [Belonging(_("Activity"), None, address)] if address else []


def _list(label: str) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_changelist")


def audit_log(site: admin.AdminSite, request: HttpRequest, **filters: str | Promise) -> str:
    """The address of the audit log with a filter of its form; empty for an account that may not see it."""
    options = site.get_model_admin(apps.get_model(_AUDIT_LOG))
    return f"{_list(_AUDIT_LOG)}?{urlencode(filters)}" if options.has_view_permission(request) else ""
