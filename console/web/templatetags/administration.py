"""Template filters of the administration's pages."""

from __future__ import annotations

import json
from typing import Any

from django import template
from django.contrib.admin.models import LogEntry
from django.utils.translation import gettext as _

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
