"""The time zone that the server writes times in, for one request or e-mail.

Not Django's ``timezone.activate``: forms, the administration and dates by day stay in UTC, as they say.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


def _none() -> datetime.tzinfo | None:
    return None


_zone: ContextVar[Callable[[], datetime.tzinfo | None]] = ContextVar("time_zone", default=_none)


def chosen_zone() -> datetime.tzinfo | None:
    """The chosen time zone; ``None``: UTC, which a script converts to the browser's."""
    return _zone.get()()


@contextmanager
def written_in(zone: Callable[[], datetime.tzinfo | None]) -> Iterator[None]:
    """Write times in the zone that ``zone`` returns, which is called only when there is a time to write."""
    token = _zone.set(zone)
    try:
        yield
    finally:
        _zone.reset(token)
