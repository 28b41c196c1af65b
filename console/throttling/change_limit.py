"""Rate limit for the changes of one account, over all sessions and processes (generic cell rate algorithm)."""

from __future__ import annotations

import datetime
import math
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from console.throttling.guesses import mark_key

# Upsert; returns no row, and counts nothing, if the account is at its limit.
_COUNT = """
    INSERT INTO guessing_mark AS mark (key, until) VALUES (%(key)s, %(now)s + %(step)s)
    ON CONFLICT (key) DO UPDATE SET until = greatest(mark.until, %(now)s) + %(step)s WHERE mark.until <= %(latest)s
    RETURNING key
"""


def count(account: int) -> int:
    """Count one changing request of an account: a burst of ``settings.CHANGES_PER_MINUTE``, and as many each minute.

    :param account: its primary key.
    :return: 0 if the request is allowed; otherwise it was not counted, and this is the ``Retry-After`` in seconds.
    """
    limit = settings.CHANGES_PER_MINUTE
    if not limit:
        return 0
    now, step = timezone.now(), datetime.timedelta(minutes=1) / limit
    values: dict[str, Any] = {
        "key": mark_key("changes", str(account)),
        "now": now,
        "step": step,
        "latest": now + (limit - 1) * step,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, values)
        if cursor.fetchone() is not None:
            return 0
    # After one step one more request is allowed.
    return math.ceil(step.total_seconds())
