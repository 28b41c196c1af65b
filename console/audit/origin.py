"""Actor and IP address of audit events. Does not need Django to be set up."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

# Actors of background work, and of requests without a session.
SYSTEM, ANONYMOUS = "system", "anonymous"


@dataclass(frozen=True)
class Origin:
    """The actor in this thread or task, and its IP address.

    ``actor`` is called only when an event is written: reading the account of a session costs a query.
    """

    actor: Callable[[], str]
    address: str | None = None


_NO_ORIGIN = Origin(lambda: SYSTEM)
_origin: ContextVar[Origin] = ContextVar("audit_origin", default=_NO_ORIGIN)


def origin() -> Origin:
    """The current origin; the system if none is set."""
    return _origin.get()


def set_origin(origin: Origin | None) -> None:
    """Set the origin in this context (a request, a command); ``None`` removes it."""
    _origin.set(origin or _NO_ORIGIN)


def command() -> Origin:
    """The origin of a management command: the operator's user name on this machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # this process's user ID has no name
        user = "?"
    return Origin(lambda: f"command:{user}"[:64])
