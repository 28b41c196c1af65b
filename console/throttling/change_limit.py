"""Rate limit for the changes of one account, over all sessions and processes (generic cell rate algorithm)."""

from __future__ import annotations

import datetime
import math
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from console.throttling.guesses import mark_key

# No row comes back where the account is as far ahead as it may be; nothing is counted then.
_COUNT = """
    INSERT INTO guessing_mark AS mark (key, until) VALUES (%(key)s, %(now)s + %(step)s)
    ON CONFLICT (key) DO UPDATE SET until = greatest(mark.until, %(now)s) + %(step)s WHERE mark.until <= %(latest)s
    RETURNING key
"""


def count(account: int) -> int:
    """Count one changing request of an account: ``settings.CHANGES_PER_MINUTE`` at once, and as many each minute.

    :param account: its primary key.
    :return: 0 when the request may be carried out; otherwise it was not counted, and is to be sent again after so many
        seconds.
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
    # However far ahead it is, after one step there is room for one more.
    return math.ceil(step.total_seconds())
