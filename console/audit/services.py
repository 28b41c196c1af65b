"""Writing to the audit trail."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from console.audit.models import AuditEvent

SYSTEM = "system"


@dataclass(frozen=True)
class Origin:
    """Who is acting in this thread or task, and from which address.

    ``actor`` is asked only when an event is written: reading a session's account costs a query.
    """

    actor: Callable[[], str]
    address: str | None = None


_origin: ContextVar[Origin | None] = ContextVar("audit_origin", default=None)


def set_origin(origin: Origin | None) -> None:
    """Say who acts from here on in this context (a request, a job); ``None`` forgets it."""
    _origin.set(origin)


def record(action: str, target: object, *, actor: str | None = None, **detail: Any) -> AuditEvent:
    """Write one event, in the caller's transaction: what is rolled back was not done and is not recorded.

    :param action: ``noun.verb``, such as ``image.delete``.
    :param target: what it was done to, as people name it.
    :param actor: Account ID or part of the system; the request's account when not given.
    :param detail: further facts (old and new values); never a password, a hash or a token.
    """
    origin = _origin.get()
    return AuditEvent.objects.create(
        action=action,
        target=str(target)[:400],
        actor=actor or (origin.actor() if origin else SYSTEM),
        address=origin.address if origin else None,
        detail=detail,
    )
