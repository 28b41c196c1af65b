"""Template filters and tags of the administration's pages."""

from __future__ import annotations

import json
from typing import Any

from django import template
from django.contrib.admin.models import LogEntry
from django.utils.translation import gettext as _

from console.web.admin_base import AuditedAdmin
from console.web.admin_related import Belonging, activity, audit_log, belongings

register = template.Library()


@register.filter
def history_entry(entry: LogEntry) -> str:
    """What an administrator did to a row: created, changed which fields, or deleted it."""
    if entry.is_addition():
        return _("Created")
    if entry.is_deletion():
        return _("Deleted")
    fields = ", ".join(_changed(entry.change_message))
    return _("Changed: %s") % fields if fields else _("Saved without changes")


def _changed(message: str) -> list[str]:
    """The names of the fields in a message, which is JSON; an earlier version's may be text."""
    try:
        parts: Any = json.loads(message)
    except ValueError:
        return [message] if message else []
    return [_(field) for part in parts for field in part.get("changed", {}).get("fields", [])]


@register.simple_tag(takes_context=True)
def related_rows(context: Any, options: Any, row: Any) -> list[Belonging]:
    """What belongs to a row, in other lists; nothing to one that is being created."""
    if row is None or not isinstance(options, AuditedAdmin):
        return []
    site, request, actor = options.admin_site, context["request"], options.acts_as(row)
    found = belongings(site, request, options.related, row)
    return [*found, *activity(site, request, actor)] if actor else found


@register.simple_tag(takes_context=True)
def history_address(context: Any, options: Any, row: Any) -> str:
    """The audit events of a row; empty where there are none, or where the account may not see them."""
    target = options.audited_as(row) if row is not None and isinstance(options, AuditedAdmin) else ""
    return audit_log(options.admin_site, context["request"], target=target) if target else ""
