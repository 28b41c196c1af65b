"""The trail as CSV: row by row, as it is read from the database."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator

from django.db.models import QuerySet

from console.audit.finding import utc
from console.audit.models import AuditEvent

HEADER = ("at", "actor", "action", "target", "address", "detail")
_AT_ONCE = 2000
# What spreadsheets take for the beginning of a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class _Line:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def plain(text: str) -> str:
    """``text`` as spreadsheets show it and do not compute it: with an apostrophe before what begins a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def lines(events: QuerySet[AuditEvent]) -> Iterator[str]:
    """The lines of the CSV (RFC 4180), with a header; a cursor of the server gives some rows at a time."""
    writer = csv.writer(_Line())
    yield writer.writerow(HEADER)
    for event in events.iterator(_AT_ONCE):
        detail = json.dumps(event.detail, ensure_ascii=False)
        row = (utc(event.at), event.actor, event.action, event.target, event.address or "", detail)
        yield writer.writerow([plain(value) for value in row])
