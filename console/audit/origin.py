"""Actor and IP address of what is done. Nothing here needs Django to be set up."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

# What no person asked for, and whoever is not signed in.
SYSTEM, ANONYMOUS = "system", "anonymous"


@dataclass(frozen=True)
class Origin:
    """Who is acting in this thread or task, and from which address.

    ``actor`` is asked only when an event is written: reading a session's account costs a query.
    """

    actor: Callable[[], str]
    address: str | None = None


_NOBODY = Origin(lambda: SYSTEM)
_origin: ContextVar[Origin] = ContextVar("audit_origin", default=_NOBODY)


def origin() -> Origin:
    """Who acts here; the system when nobody has said so."""
    return _origin.get()


def set_origin(origin: Origin | None) -> None:
    """Say who acts from here on in this context (a request, a command); ``None`` forgets it."""
    _origin.set(origin or _NOBODY)


def command() -> Origin:
    """The operator at the command line, by the name that they have there."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no user has this process's number
        user = "?"
    return Origin(lambda: f"command:{user}"[:64])
