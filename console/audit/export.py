"""Export of the audit log as CSV, streamed in batches from the database."""

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
# Characters that begin a formula in spreadsheets, also as wide characters (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class _Line:
    """A file object for ``csv.writer`` whose ``write`` returns the line."""

    def write(self, text: str) -> str:
        return text


def plain(text: str) -> str:
    """``text`` with an apostrophe before the beginning of a formula, so that spreadsheets do not compute it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def lines(events: QuerySet[AuditEvent]) -> Iterator[str]:
    """The lines of the CSV (RFC 4180), with a header, newest first, fetched in batches."""
    writer = csv.writer(_Line())
    yield writer.writerow(HEADER)
    for event in _in_pages(events.order_by("-at", "-id")):
        detail = json.dumps(event.detail, ensure_ascii=False)
        row = (utc(event.at), event.actor, event.action, event.target, event.address or "", detail)
        yield writer.writerow([plain(value) for value in row])


def _in_pages(events: QuerySet[AuditEvent]) -> Iterator[AuditEvent]:
    # Keyset pagination, not a server-side cursor: a cursor WITH HOLD would first store all rows on PostgreSQL's disk.
    page = _read(events)
    while page:
        yield from page
        if len(page) < _AT_ONCE:
            return
        at, pk = page[-1].at, page[-1].pk
        # The last condition lets PostgreSQL use the index.
        page = _read(events.filter(Q(at__lt=at) | Q(at=at, pk__lt=pk), at__lte=at))


def _read(events: QuerySet[AuditEvent]) -> list[AuditEvent]:
    """The first batch; a filter with few matches may scan the whole table, which takes long."""
    with long_statements():
        return list(events[:_AT_ONCE])
