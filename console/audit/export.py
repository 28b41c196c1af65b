"""The audit log as CSV: streamed page by page from the database."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator

from django.db.models import Q, QuerySet

from console.audit.models import AuditEvent
from console.audit.search import utc
from console.database.statements import long_statements

HEADER = ("at", "actor", "action", "target", "address", "detail")
_AT_ONCE = 2000
# What spreadsheets take for the beginning of a formula, in wide characters too (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class _Line:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def plain(text: str) -> str:
    """``text`` as spreadsheets show it and do not compute it: with an apostrophe before what begins a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def lines(events: QuerySet[AuditEvent]) -> Iterator[str]:
    """The lines of the CSV (RFC 4180), with a header, newest first; some rows are fetched at a time."""
    writer = csv.writer(_Line())
    yield writer.writerow(HEADER)
    for event in _in_pages(events.order_by("-at", "-id")):
        detail = json.dumps(event.detail, ensure_ascii=False)
        row = (utc(event.at), event.actor, event.action, event.target, event.address or "", detail)
        yield writer.writerow([plain(value) for value in row])


def _in_pages(events: QuerySet[AuditEvent]) -> Iterator[AuditEvent]:
    # Not by a cursor: outlasting the transaction, PostgreSQL would first put all that it finds on its disk.
    page = _read(events)
    while page:
        yield from page
        if len(page) < _AT_ONCE:
            return
        at, pk = page[-1].at, page[-1].pk
        # The last condition is for the index.
        page = _read(events.filter(Q(at__lt=at) | Q(at=at, pk__lt=pk), at__lte=at))


def _read(events: QuerySet[AuditEvent]) -> list[AuditEvent]:
    """The first of these; a filter that finds little looks through all of the trail."""
    with long_statements():
        return list(events[:_AT_ONCE])
