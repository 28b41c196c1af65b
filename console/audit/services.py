"""Write audit events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.utils import timezone

from console.audit.models import AuditEvent
from console.audit.origin import origin

# Of long lists this many are written down, beside how many there were.
MOST_NAMED = 1000


class Event(NamedTuple):
    """One thing that happened, for ``record_all``."""

    action: str
    target: str
    actor: str
    detail: Mapping[str, Any]
    address: str | None = None


def record(action: str, target: object, *, actor: str | None = None, **detail: Any) -> AuditEvent:
    """Write one event, in the caller's transaction: what is rolled back was not done and is not recorded.

    :param action: ``noun.verb``, such as ``image.delete``.
    :param target: what it was done to, as people name it.
    :param actor: Account ID or part of the system; whoever acts in this context when not given.
    :param detail: further facts; never a password, a hash or a token. What was changed is told by ``old`` and ``new``,
        or, of several fields, by ``changes``: for each its name, with a pair of the old and the new value.
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
    """Write many events, in order and with one statement, in the caller's transaction."""
    rows = [
        (event.action, event.target[:400], event.actor, json.dumps(event.detail, cls=DjangoJSONEncoder), event.address)
        for event in events
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(_RECORD_ALL, [timezone.now(), *(list(column) for column in zip(*rows, strict=True))])


def named(names: Iterable[str]) -> dict[str, Any]:
    """A list for ``record``'s detail: the first of ``names``, and their number where that is not all."""
    names = list(names)
    return {"tags": names[:MOST_NAMED], **({"number": len(names)} if len(names) > MOST_NAMED else {})}
