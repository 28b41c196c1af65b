"""Write audit events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from console.audit.models import AuditEvent
from console.audit.origin import origin
from console.database.statements import frequent_cursor

# Of longer lists only so many names are recorded, and the number of all.
MOST_NAMED = 1000


class Event(NamedTuple):
    """One audit event, for ``record_all``."""

    action: str
    target: str
    actor: str
    detail: Mapping[str, Any]
    address: str | None = None


def record(action: str, target: object, *, actor: str | None = None, **detail: Any) -> AuditEvent:
    """Write one audit event, in the caller's transaction: a rolled back change is not recorded.

    :param action: ``noun.verb``, such as ``image.delete``.
    :param target: the name of what was changed.
    :param actor: Account ID or part of the system; by default the actor of the current origin.
    :param detail: further facts; never a password, a hash or a token. A change is given as ``old`` and ``new``, or, of
        several fields, as ``changes``: a pair of the old and the new value by field name.
    """
    here = origin()
    return AuditEvent.objects.create(
        action=action,
        target=str(target)[:400],
        actor=actor or here.actor(),
        address=here.address,
        detail=detail,
    )


_RECORD_ALL = """
INSERT INTO audit_auditevent (at, action, target, actor, detail, address)
SELECT %s, event.* FROM unnest(%s::text[], %s::text[], %s::text[], %s::jsonb[], %s::inet[]) AS event
"""


def record_all(events: Iterable[Event]) -> None:
    """Write a batch of audit events, in order and with one statement, in the caller's transaction."""
    rows = [
        (event.action, event.target[:400], event.actor, json.dumps(event.detail, cls=DjangoJSONEncoder), event.address)
        for event in events
    ]
    if rows:
        with frequent_cursor() as cursor:
            cursor.execute(_RECORD_ALL, [timezone.now(), *(list(column) for column in zip(*rows, strict=True))])


def named(names: Iterable[str]) -> dict[str, Any]:
    """Detail for ``record``: the first of ``names``, and how many there are if the list was cut."""
    names = list(names)
    return {"tags": names[:MOST_NAMED], **({"number": len(names)} if len(names) > MOST_NAMED else {})}
