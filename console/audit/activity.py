"""Audit events of one account: what it did, and what was done to what is its own.

Each part of the union reads a bounded number of rows from the end of an index, which is in the order of the answer. The
conditions are those of the partial indexes (``console/audit/migrations``), word for word.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from console.audit.models import AuditEvent

# The first word of an action says what its target is. Grants of registry access are events of the client alone: the
# owner of a public image does not see who pulls it.
IS_ACCESS = "CASE WHEN split_part(action, '.', 1) = 'token' THEN 1 ELSE 0 END"
OF_ACCOUNT = (
    "split_part(action, '.', 1) IN "
    "('access_token', 'account', 'identity', 'login', 'password', 'second_factor', 'service')"
)
OF_NAMESPACE = "split_part(action, '.', 1) IN ('failure', 'image', 'index', 'namespace', 'tag')"
HANDED_OVER = "action IN ('namespace.delete', 'namespace.transfer', 'namespace.transferred')"
OWNER = "split_part(target, '/', 1)"
FORMER_OWNER = "COALESCE(detail ->> 'old', detail ->> 'owner')"
# In this form only these indexes are in the order of time: by the one of the whole table, PostgreSQL would read all
# that others did since.
WHEN = "(at AT TIME ZONE 'UTC')"
ACCESS = "token"

# How many events are read for one page of a filtered list.
MOST_READ = 2000

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_FIELDS = ("id", "at", "actor", "action", "target", "address")
_COLUMNS = ", ".join(_FIELDS)
_NEWEST = f"""
    {WHEN} >= %(since)s::timestamptz AT TIME ZONE 'UTC'
    AND ({WHEN}, id) < (%(before_at)s::timestamptz AT TIME ZONE 'UTC', %(before_id)s)
    ORDER BY {WHEN} DESC, id DESC LIMIT %(most)s
"""
# Put together of the constants above alone.
_DONE = f"""
(SELECT {_COLUMNS} FROM audit_auditevent WHERE actor = %(account)s AND {IS_ACCESS} = %(access)s AND {_NEWEST})
"""  # noqa: S608  # nosec B608
_ALL = f"""
{_DONE}
UNION
(SELECT {_COLUMNS} FROM audit_auditevent WHERE {OWNER} = %(account)s AND {OF_ACCOUNT} AND {_NEWEST})
UNION
(SELECT {_COLUMNS} FROM audit_auditevent WHERE {FORMER_OWNER} = %(account)s AND {HANDED_OVER} AND {_NEWEST})
UNION
SELECT event.* FROM unnest(%(names)s::text[], %(owned_since)s::timestamptz[]) AS own (name, owned_since)
CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM audit_auditevent
    WHERE {OWNER} = own.name AND {OF_NAMESPACE} AND {WHEN} >= own.owned_since AT TIME ZONE 'UTC' AND {_NEWEST}
) AS event
"""  # noqa: S608  # nosec B608
_PAGE = """
WITH found AS MATERIALIZED (SELECT * FROM ({union}) AS each ORDER BY at DESC, id DESC LIMIT %(most)s)
SELECT *, (SELECT count(*) FROM found) FROM (
    (SELECT *, false AS is_end FROM found WHERE {kind} ORDER BY at DESC, id DESC LIMIT %(rows)s)
    UNION ALL
    (SELECT *, true FROM found ORDER BY at, id LIMIT 1)
) AS shown ORDER BY is_end, at DESC, id DESC
"""


@dataclass(frozen=True)
class Place:
    """The event before which a page begins."""

    at: datetime.datetime
    pk: int


@dataclass(frozen=True)
class Asked:
    """What to read.

    :ivar account: the Account ID.
    :ivar owned: its namespaces, and since when each is its own: earlier events are another's.
    :ivar kinds: first words of actions; empty for all but registry access.
    :ivar since: no events before.
    :ivar before: where the page begins.
    """

    account: str
    owned: Mapping[str, datetime.datetime]
    kinds: Sequence[str] = ()
    since: datetime.datetime | None = None
    before: Place | None = None
    rows: int = 25


@dataclass(frozen=True)
class Page:
    """Events, the newest first, and where the next page begins; ``None`` if there are no more."""

    events: list[AuditEvent] = field(default_factory=list)
    following: Place | None = None


def read(asked: Asked) -> Page:
    """One page of an account's activity, with one query."""
    access = ACCESS in asked.kinds
    most = MOST_READ if asked.kinds and not access else asked.rows + 1
    union = _DONE if access else _ALL
    kind = "split_part(action, '.', 1) = ANY(%(kinds)s)" if asked.kinds else "true"
    values: dict[str, Any] = {
        "account": asked.account,
        "access": int(access),
        "names": list(asked.owned),
        "owned_since": list(asked.owned.values()),
        "kinds": list(asked.kinds),
        "since": asked.since or _EPOCH,
        "before_at": asked.before.at if asked.before else "infinity",
        "before_id": asked.before.pk if asked.before else 0,
        "most": most,
        "rows": asked.rows + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PAGE.format(union=union, kind=kind), values)
        found = cursor.fetchall()
    events = [AuditEvent(**dict(zip(_FIELDS, row, strict=False))) for row in found if not row[6]]
    if len(events) > asked.rows:
        events = events[: asked.rows]
        return Page(events, Place(events[-1].at, events[-1].pk))
    if found and found[-1][7] == most:
        # So many were read, and none of the others is of these kinds.
        return Page(events, Place(found[-1][1], found[-1][0]))
    return Page(events)
